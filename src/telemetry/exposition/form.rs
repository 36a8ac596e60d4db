//! The two forms of a page of metrics: the classic one, and OpenMetrics, which knows exemplars.

/// The form of a page of metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PageForm {
    /// The text format 0.0.4 of Prometheus.
    #[default]
    Classic,
    /// OpenMetrics 1.0, <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
    OpenMetrics,
}

impl PageForm {
    /// Chooses the form by the `Accept` of who asks (RFC 9110 §12.5.1): OpenMetrics for those who name it and do not like
    /// plain text better, as Prometheus does.
    ///
    /// ```
    /// # use plimsoll::telemetry::PageForm;
    /// let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    /// assert_eq!(PageForm::accepted(prometheus), PageForm::OpenMetrics);
    /// assert_eq!(PageForm::accepted("*/*"), PageForm::Classic);
    /// ```
    pub fn accepted(accept: &str) -> Self {
        let [mut open, mut plain] = [0.0_f64; 2];
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut is_known) = (1.0, true);
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => quality = value.trim().parse().unwrap_or(0.0),
                    "version" => is_known = value.trim().trim_matches('"') == "1.0.0",
                    _ => {}
                }
            }
            match kind.as_str() {
                "application/openmetrics-text" if is_known => open = open.max(quality),
                "text/plain" => plain = plain.max(quality),
                _ => {}
            }
        }
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Classic }
    }

    /// Returns the `Content-Type` of the page. Prometheus 3 refuses a scrape without one.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Returns what stands at the end of a page.
    pub fn end(self) -> &'static str {
        match self {
            Self::Classic => "",
            Self::OpenMetrics => "# EOF\n",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_openmetrics_gets_it_and_nobody_else_does() {
        let (classic, open) = (PageForm::Classic, PageForm::OpenMetrics);
        for (accept, form) in [
            ("", classic),
            ("*/*", classic),
            ("text/html", classic),
            ("text/plain;version=0.0.4", classic),
            ("application/openmetrics-text", open),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", open),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"", open),
            ("application/openmetrics-text;version=2.0.0", classic),
            ("application/openmetrics-text;q=0", classic),
            ("application/openmetrics-text;q=nonsense", classic),
            ("application/openmetrics-text;q=0.4,text/plain;q=0.5", classic),
            ("text/plain;q=0.5,application/openmetrics-text;q=0.6", open),
            // Prometheus 2.42, and 3.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                open,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
                 text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                open,
            ),
        ] {
            assert_eq!(PageForm::accepted(accept), form, "{accept}");
        }
    }
}
