#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn at(path: &str) -> Option<Place> {
    place(&Address::parse(path).unwrap())
}

#[test]
fn paths_are_the_same_in_either_case() {
    let name = |name: &str| ResourceName {
        subscription: "S".to_owned(),
        resource_group: "Dr".to_owned(),
        name: name.to_owned(),
    };
    let scope = |resource_group: Option<&str>| Scope {
        subscription: "S".to_owned(),
        resource_group: resource_group.map(str::to_owned),
    };
    let alert = |about| Place::Alert("S".to_owned(), "A".to_owned(), about);
    let table = [
        (
            "/providers/Microsoft.Insights/metricAlerts",
            Some(Place::Rules(scope(None))),
        ),
        (
            "/providers/microsoft.insights/ACTIONGROUPS",
            Some(Place::Groups(scope(None))),
        ),
        (
            "/resourceGroups/Dr/providers/Microsoft.Insights/metricAlerts",
            Some(Place::Rules(scope(Some("Dr")))),
        ),
        (
            "/resourceGroups/Dr/providers/Microsoft.Insights/metricalerts/R",
            Some(Place::Rule(name("R"))),
        ),
        (
            "/resourceGroups/Dr/providers/Microsoft.Insights/metricAlerts/R/more",
            None,
        ),
        ("/providers/Microsoft.Insights/metricAlerts/R", None),
        (
            "/resourceGroups/Dr/providers/Microsoft.Insights/actionGroups/G",
            Some(Place::Group(name("G"))),
        ),
        (
            "/resourceGroups/Dr/providers/Microsoft.Insights/actionGroups/G/createNotifications",
            Some(Place::Notify(name("G"))),
        ),
        (
            "/resourceGroups/Dr/providers/Microsoft.Insights/actionGroups/G/NotificationStatus/N",
            Some(Place::Notified(name("G"), "N".to_owned())),
        ),
        (
            "/resourceGroups/Dr/providers/Microsoft.Insights/actionGroups/G/more",
            None,
        ),
        (
            "/providers/Microsoft.AlertsManagement/alerts",
            Some(Place::Alerts("S".to_owned())),
        ),
        (
            "/providers/Microsoft.AlertsManagement/Alerts/A",
            Some(alert(AboutAlert::Itself)),
        ),
        (
            "/providers/Microsoft.AlertsManagement/alerts/A/changeState",
            Some(alert(AboutAlert::ChangeState)),
        ),
        (
            "/providers/Microsoft.AlertsManagement/alerts/A/History",
            Some(alert(AboutAlert::History)),
        ),
        ("/providers/Microsoft.AlertsManagement/alerts/A/more", None),
        (
            "/resourceGroups/Dr/providers/Microsoft.AlertsManagement/alerts",
            None,
        ),
    ];
    for (path, wanted) in table {
        assert_eq!(at(&format!("/subscriptions/S{path}")), wanted, "{path}");
    }
}

proptest! {
    #[test]
    fn no_path_makes_it_panic(path in "/subscriptions/s(/resourceGroups/g)?/providers/(Microsoft.Insights|Microsoft.AlertsManagement)/(metricAlerts|actionGroups|alerts)(/|%|[a-zA-Z0-9.%é]|createNotifications|notificationStatus|history){0,30}") {
        if let Some(address) = Address::parse(&path) {
            let _ = place(&address);
        }
    }
}
