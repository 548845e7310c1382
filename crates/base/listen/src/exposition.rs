//! Metrics in the format that the one who scrapes asks for.
//!
//! Registries write [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/). Prometheus
//! asks for that by its `Accept` header; other scrapers, and `promtool check metrics`, read the older
//! [text format](https://prometheus.io/docs/instrumenting/exposition_formats/), in which a counter's
//! help and type are under the name with `_total`.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::refusals::{Refusals, with_metrics};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The answer to a request for metrics: those of `openmetrics`, then those of the servers themselves, in
/// the older text format for whoever does not ask for OpenMetrics.
pub fn exposition(headers: &HeaderMap, openmetrics: &str, servers: &[&Refusals]) -> Response {
    let openmetrics = match servers {
        [] => openmetrics.to_owned(),
        servers => with_metrics(openmetrics, servers),
    };
    let accepted = headers.get_all(ACCEPT).iter();
    let wants = accepted
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("application/openmetrics-text"));
    match wants {
        true => ([(CONTENT_TYPE, OPENMETRICS)], openmetrics).into_response(),
        false => ([(CONTENT_TYPE, TEXT)], text_format(&openmetrics)).into_response(),
    }
}

/// OpenMetrics in the text format 0.0.4.
fn text_format(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            // Under which name it belongs is in the next line.
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "stateset" => ("", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, words)) = help.take().filter(|(of, _)| *of == name) {
                text.push_str(&format!("# HELP {name}{suffix} {words}\n"));
            }
            text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if line != "# EOF" && !line.starts_with("# UNIT ") {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::http::HeaderMap;
    use axum::http::header::{ACCEPT, CONTENT_TYPE};

    use super::{exposition, text_format};

    const OPENMETRICS: &str = "# HELP served Requests.\n# TYPE served counter\nserved_total{code=\"200\"} 7\n\
        # HELP open Connections.\n# TYPE open gauge\n# UNIT open bytes\nopen 3\n\
        # HELP build Version.\n# TYPE build info\nbuild_info{v=\"1\"} 1\n\
        # HELP took Seconds.\n# TYPE took histogram\ntook_sum 1.5\ntook_count 2\ntook_bucket{le=\"+Inf\"} 2\n# EOF\n";

    #[test]
    fn help_and_type_are_under_the_name_of_the_samples() {
        let expected = "# HELP served_total Requests.\n# TYPE served_total counter\nserved_total{code=\"200\"} 7\n\
            # HELP open Connections.\n# TYPE open gauge\nopen 3\n\
            # HELP build_info Version.\n# TYPE build_info gauge\nbuild_info{v=\"1\"} 1\n\
            # HELP took Seconds.\n# TYPE took histogram\ntook_sum 1.5\ntook_count 2\ntook_bucket{le=\"+Inf\"} 2\n";
        assert_eq!(text_format(OPENMETRICS), expected);
    }

    #[test]
    fn whoever_asks_for_openmetrics_gets_it() {
        for (accept, kind) in [
            (
                Some("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
                "application/openmetrics-text",
            ),
            (Some("text/plain"), "text/plain; version=0.0.4"),
            (Some("*/*"), "text/plain; version=0.0.4"),
            (None, "text/plain; version=0.0.4"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            let response = exposition(&headers, OPENMETRICS, &[]);
            let told = response.headers()[CONTENT_TYPE].to_str().unwrap();
            assert!(told.starts_with(kind), "{accept:?}: {told}");
        }
    }
}
