#![allow(clippy::unwrap_used)]

use super::*;

const PROFILE: ResourceType = ResourceType {
    namespace: "Microsoft.Network",
    name: "trafficManagerProfiles",
};
const TARGET: &str =
    "/subscriptions/S/resourceGroups/Dr/providers/Microsoft.Network/trafficManagerProfiles/Logs";
const GROUP: &str =
    "/subscriptions/S/resourceGroups/Dr/providers/Microsoft.Insights/actionGroups/G";
const NESTED: &str =
    "/subscriptions/S/providers/Microsoft.Network/trafficManagerProfiles/Logs/parts/p";

#[test]
fn ids_are_read_in_either_case() {
    let read = ResourceName::read(PROFILE, &TARGET.to_ascii_uppercase()).unwrap();
    assert_eq!(read.key(PROFILE), TARGET.to_ascii_lowercase());
    for wrong in [
        "",
        "/",
        GROUP,
        NESTED,
        &format!("{TARGET}/more"),
        &TARGET[1..],
    ] {
        assert_eq!(ResourceName::read(PROFILE, wrong), None, "{wrong}");
    }
}
