//! Which trace an exchange belongs to, what backends are told of it, and whether it is kept without a reason.
//!
//! W3C Trace Context, <https://www.w3.org/TR/trace-context/>: the form of `traceparent` is §3.2, what becomes of what a
//! client brought is §4.3.

/// Which exchanges have a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Half of the ids below this number are taken, as OpenTelemetry's `TraceIdRatioBased` does: who uses the same share
    /// takes the same traces.
    below: u64,
}

impl Sampling {
    /// Takes this share of the exchanges, 0 to 1.
    pub fn new(share: f64) -> Self {
        /// Ids are compared by 63 bits.
        const ALL: f64 = (1_u64 << 63) as f64;
        Self { below: (share.clamp(0.0, 1.0) * ALL) as u64 }
    }

    fn takes(&self, id: u64) -> bool {
        id >> 1 < self.below
    }
}

/// What a client says about the trace that its request is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: u128,
    /// The client's span.
    pub parent: u64,
    /// Whether the client keeps its own part.
    pub sampled: bool,
}

impl TraceParent {
    /// Reads a `traceparent`. None when it is invalid, or of a version whose form is not known.
    ///
    /// ```
    /// # use plimsoll::telemetry::TraceParent;
    /// let brought = TraceParent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").expect("valid");
    /// assert_eq!(brought.parent, 0x00f0_67aa_0ba9_02b7);
    /// assert_eq!(TraceParent::parse(b"00-00000000000000000000000000000000-00f067aa0ba902b7-01"), None);
    /// ```
    pub fn parse(value: &[u8]) -> Option<Self> {
        const LEN: usize = 55;
        let (known, rest) = value.split_at_checked(LEN)?;
        let [version, trace, parent, flags] = [&known[..2], &known[3..35], &known[36..52], &known[53..]];
        let dashed = [2, 35, 52].into_iter().all(|at| known[at] == b'-');
        // A later version may add something behind a further dash.
        let later = digits(version)? > 0 && digits(version)? < 0xff;
        if !dashed
            || !(rest.is_empty() && !later && version == b"00" || later && matches!(rest, [] | [b'-', ..]))
        {
            return None;
        }
        let (trace, parent, flags) = (digits(trace)?, digits(parent)? as u64, digits(flags)?);
        (trace != 0 && parent != 0).then_some(Self { trace, parent, sampled: flags & 1 == 1 })
    }
}

/// Reads lower-case hexadecimal digits, which are the only ones that the specification knows.
fn digits(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// The place of an exchange in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: u128,
    /// The client's span; 0 where the trace begins here.
    pub parent: u64,
    /// The span of the exchange.
    pub span: u64,
    /// Whether the trace is kept even if nothing is special about the exchange.
    pub chosen: bool,
}

impl TraceContext {
    /// Continues the trace that a client brought, or begins one. `random` is a source of random numbers.
    ///
    /// A client that is not `trusted` keeps its trace, so that it can be found under the id that the client knows, but has no
    /// say in whether it is kept: a flag, and an id that the share takes, are claims that anybody can make.
    pub fn new(
        brought: Option<TraceParent>,
        trusted: bool,
        sampling: &Sampling,
        mut random: impl FnMut() -> u64,
    ) -> Self {
        // Zero is no id.
        let span = random().max(1);
        match brought {
            None => {
                let (high, low) = (random(), random().max(1));
                let trace = u128::from(high) << 64 | u128::from(low);
                Self { trace, parent: 0, span, chosen: sampling.takes(low) }
            }
            Some(TraceParent { trace, parent, sampled }) => {
                let chosen =
                    if trusted { sampled || sampling.takes(trace as u64) } else { sampling.takes(span) };
                Self { trace, parent, span, chosen }
            }
        }
    }

    /// Returns whether the client brought the trace.
    pub fn is_continued(&self) -> bool {
        self.parent != 0
    }

    /// Returns the span of the exchange's try of that number, counted from 1: the parent that the backend is told. It
    /// follows from the exchange's own, so that nothing need be kept.
    pub fn span_of_try(&self, number: u16) -> u64 {
        /// 2^64 divided by the golden ratio: odd, so that the first 2^64 multiples differ.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        self.span.wrapping_add(STEP.wrapping_mul(u64::from(number))).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
    const PARENT: u64 = 0x00f0_67aa_0ba9_02b7;

    fn parent(sampled: bool) -> TraceParent {
        TraceParent { trace: TRACE, parent: PARENT, sampled }
    }

    #[test]
    fn a_traceparent_is_read_as_the_specification_says() {
        let known = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for (value, sampled) in [
            (format!("00-{known}-01"), true),
            (format!("00-{known}-00"), false),
            // The other flags are not ours to understand.
            (format!("00-{known}-fe"), false),
            (format!("00-{known}-ff"), true),
            (format!("cc-{known}-01"), true),
            (format!("01-{known}-01-what-the-future-brings"), true),
        ] {
            assert_eq!(TraceParent::parse(value.as_bytes()), Some(parent(sampled)), "{value}");
        }
        for value in [
            String::new(),
            format!("00-{known}"),
            format!("00-{known}-1"),
            format!("00-{known}-01-"),
            format!("00-{known}-01-more"),
            format!("ff-{known}-01"),
            format!("01-{known}-01more"),
            format!("0x-{known}-01"),
            format!("00_{known}-01"),
            format!("00-{}-01", known.to_uppercase()),
            format!("00-{known}-0g"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".to_owned(),
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        ] {
            assert_eq!(TraceParent::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[test]
    fn a_trace_goes_on_under_its_id_and_begins_where_there_is_none() {
        let sampling = Sampling::new(0.0);
        let mut next = 6_u64;
        let mut random = || {
            next += 1;
            next
        };
        let continued = TraceContext::new(Some(parent(false)), true, &sampling, &mut random);
        assert_eq!((continued.trace, continued.parent, continued.span), (TRACE, PARENT, 7));
        let begun = TraceContext::new(None, true, &sampling, &mut random);
        assert_eq!((begun.trace, begun.parent, begun.span), (9 << 64 | 10, 0, 8));
        let never_zero = TraceContext::new(None, true, &sampling, || 0);
        assert!(never_zero.trace != 0 && never_zero.span != 0);
    }

    #[test]
    fn only_who_is_trusted_has_a_say_in_what_is_kept() {
        let (none, all) = (Sampling::new(0.0), Sampling::new(1.0));
        let chosen = |sampled, trusted, sampling| {
            TraceContext::new(Some(parent(sampled)), trusted, sampling, || u64::MAX).chosen
        };
        assert!(chosen(true, true, &none));
        assert!(!chosen(false, true, &none));
        assert!(!chosen(true, false, &none));
        assert!(chosen(false, false, &all));
        // An id below every share, made up by somebody who wants to be seen.
        let low = Some(TraceParent { trace: 1, parent: 1, sampled: false });
        let half = Sampling::new(0.5);
        assert!(TraceContext::new(low, true, &half, || u64::MAX).chosen);
        assert!(!TraceContext::new(low, false, &half, || u64::MAX).chosen);
    }

    #[test]
    fn the_share_is_the_one_that_was_asked_for() {
        let mut rng = fastrand::Rng::with_seed(7);
        for share in [0.0, 0.01, 0.5, 1.0] {
            let sampling = Sampling::new(share);
            let mut count = 0_u32;
            for _ in 0..20_000 {
                count += u32::from(TraceContext::new(None, false, &sampling, || rng.u64(..)).chosen);
            }
            let found = f64::from(count) / 20_000.0;
            assert!(
                (found - share).abs() < 0.005 + share * 0.05 && (share > 0.0 || count == 0),
                "{share}: {found}"
            );
        }
    }

    #[test]
    fn each_try_has_a_span_of_its_own() {
        let context = TraceContext { trace: 1, parent: 0, span: u64::MAX, chosen: true };
        let mut spans: Vec<_> = (0..=1000).map(|number| context.span_of_try(number)).collect();
        assert_eq!(spans[0], context.span);
        spans.sort_unstable();
        spans.dedup();
        assert_eq!((spans.len(), spans.contains(&0)), (1001, false));
    }
}
