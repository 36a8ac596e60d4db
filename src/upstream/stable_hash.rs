//! A hash that means the same in every version and process.
//!
//! Cookies outlive a restart, and two balancers side by side must send a key to the same backend: the standard
//! library's hashers promise neither. FNV-1a (Fowler, Noll, Vo) reads the bytes; the finaliser of `SplitMix64` (Steele,
//! Lea, Flood: "Fast splittable pseudorandom number generators", 2014) spreads what FNV leaves in the low bits.
//!
//! It does not withstand keys that were chosen to collide. What a client can gain by that is load on one backend,
//! which the load bound of the consistent hash limits.

/// Hashes bytes.
#[must_use]
pub(super) fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv)
}

/// Spreads every bit of a number over all bits of the result; a bijection.
#[must_use]
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_never_changes_between_versions() {
        assert_eq!(hash(b""), 0xf52a_15e9_a9b5_e89b);
        assert_eq!(hash(b"backend-1"), 0x3635_40f6_99ae_a3ce);
    }

    #[test]
    fn neighbours_are_far_apart() {
        let bits: u32 = (0..1000_u32)
            .map(|n| {
                let (this, next) = (format!("user-{n}"), format!("user-{}", n + 1));
                (hash(this.as_bytes()) ^ hash(next.as_bytes())).count_ones()
            })
            .sum();
        assert!((31_000..33_000).contains(&bits), "{bits} of 64000 bits differ");
    }
}
