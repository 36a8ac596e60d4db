//! `allow` and `deny`: who is let in.

use crate::address;
use crate::condition::{Condition, Test};

/// What a list of `allow` and `deny` says, in its order: the first that names a client decides, and who is not named is
/// let in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    rules: Vec<(bool, Condition)>,
}

impl Access {
    /// Adds a line. False, and nobody is let in or kept out by it, when `whom` is something that plimsoll cannot ask.
    pub(crate) fn add(&mut self, lets_in: bool, whom: &str) -> bool {
        let condition = match address::range(whom) {
            _ if whom == "all" => Condition::Always,
            Some(range) => Condition::Test(Test::Source(vec![range])),
            None => return false,
        };
        self.rules.push((lets_in, condition));
        true
    }

    /// Who is refused.
    pub(crate) fn refused(&self) -> Condition {
        self.rules.iter().rev().fold(Condition::Never, |refused, (lets_in, whom)| match lets_in {
            true => Condition::all([whom.clone().negated(), refused]),
            false => Condition::any([whom.clone(), refused]),
        })
    }
}
