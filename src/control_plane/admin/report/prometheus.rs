//! The same for Prometheus, in the shape that lua-resty-upstream-healthcheck gives its page, so that whoever reads that one
//! reads ours. Everything here, and much more, is at `/metrics` under names of our own.

use std::fmt::Write as _;

use super::place;
use crate::control_plane::health::Board;
use crate::telemetry::PageForm;
use crate::upstream::Upstream;

/// The one metric.
const NAME: &str = "nginx_upstream_status_info";

/// Writes the page.
///
/// ```text
/// # HELP nginx_upstream_status_info The running status of an upstream and of its backends
/// # TYPE nginx_upstream_status_info gauge
/// nginx_upstream_status_info{name="app",endpoint="127.0.0.1:5001",status="UP",role="PRIMARY"} 1
/// nginx_upstream_status_info{name="app",endpoint="127.0.0.1:5001",status="DOWN",role="PRIMARY"} 0
/// nginx_upstream_status_info{name="app",status="UP"} 1
/// nginx_upstream_status_info{name="app",status="DOWN"} 0
/// nginx_upstream_status_info{name="app",status="UNKNOWN"} 0
/// ```
///
/// A backend is UP while new work may go to it, an upstream while one of its backends is. Nothing is UNKNOWN: without checks
/// live traffic tells.
pub(super) fn page(
    upstreams: &[impl std::ops::Deref<Target = Upstream>],
    board: &Board,
    form: PageForm,
) -> String {
    let mut text =
        format!("# HELP {NAME} The running status of an upstream and of its backends\n# TYPE {NAME} gauge\n");
    for upstream in upstreams {
        let name = &upstream.name;
        for (endpoint, up) in endpoints(upstream, board) {
            for (status, is) in [("UP", up), ("DOWN", !up)] {
                // Writing to a String cannot fail.
                let _ = writeln!(
                    text,
                    "{NAME}{{name=\"{name}\",endpoint=\"{endpoint}\",status=\"{status}\",role=\"PRIMARY\"}} {}",
                    u8::from(is)
                );
            }
        }
        let up = upstream.available() > 0;
        for (status, is) in [("UP", up), ("DOWN", !up), ("UNKNOWN", false)] {
            let _ = writeln!(text, "{NAME}{{name=\"{name}\",status=\"{status}\"}} {}", u8::from(is));
        }
    }
    text + form.end()
}

/// Where backends are, and whether one there may get new work. Two host names may lead to one place, and one place is one
/// series.
fn endpoints(upstream: &Upstream, board: &Board) -> Vec<(String, bool)> {
    let mut endpoints: Vec<(String, bool)> = Vec::new();
    for backend in &upstream.backends {
        let lookup = board.last_lookup(&upstream.name, &backend.name);
        let (endpoint, up) = (place(backend, lookup.as_ref()), backend.availability().is_available());
        match endpoints.iter_mut().find(|(known, _)| *known == endpoint) {
            Some((_, known)) => *known |= up,
            None => endpoints.push((endpoint, up)),
        }
    }
    endpoints
}
