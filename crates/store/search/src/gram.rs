//! What a row group's filter holds, and how a query asks it.
//!
//! A free text may stand anywhere, so words are not enough: the filter holds *grams*, pieces of the
//! raw text folded to lower case. All pieces of one length would be too many; short ones are in
//! every row group and say nothing. So there are two kinds:
//!
//! - every 3 bytes, for short texts and common letters: there are few of them;
//! - of 5 bytes those that are the smallest, by a hash, among four neighbours (*minimisers*). A
//!   text of 8 bytes or more has at least one, and it is one wherever the text stands, because
//!   the neighbours that decide it are within the text. This keeps 2 of 5 grams.
//!
//! Beside them it holds each name with each value, and each name. All go into one Bloom filter.
//! It is filled at a generous size and then folded in half until it is full enough, so that no
//! count of distinct grams is needed beforehand. It never denies what was put in.

/// Length of the long grams.
const LONG_GRAM_BYTES: usize = 5;
/// How many neighbours compete.
const COMPETING_GRAMS: usize = 4;
/// Bits of the smallest filter, as a power of two.
const MIN_BITS_LOG2: u32 = 10;
/// Bits of the largest.
const MAX_BITS_LOG2: u32 = 26;

/// Below this, clearing and reading the bits of all short grams costs more than it saves.
const SMALL_TEXT_BYTES: usize = 64 << 10;

/// A hashed member of a filter. The values are in files: they must never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

const SHORT_SEED: u64 = 0x5bd1_e995_7b1f_a3c7;
const LONG_SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const PAIR_SEED: u64 = 0xc2b2_ae3d_27d4_eb4f;
const NAME_SEED: u64 = 0x1656_67b1_9e37_79f9;

/// A finaliser of 64 bits (splitmix64).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// FNV-1a over the bytes.
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(seed, |state, byte| {
        (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl Key {
    /// A field (or tag, with its `#`) that has this value.
    ///
    /// Two keys, because a query has only this to ask; of a text it asks many grams.
    pub(crate) fn pair(name: &str, value: &str) -> [Self; 2] {
        let state = hash(hash(PAIR_SEED, name.as_bytes()), &[0xff]);
        let first = mix(hash(state, value.as_bytes()));
        [Self(first), Self(mix(first))]
    }

    /// A field that some event has.
    pub(crate) fn name(name: &str) -> [Self; 2] {
        let first = mix(hash(NAME_SEED, name.as_bytes()));
        [Self(first), Self(mix(first))]
    }
}

/// Whether a text has a character that a regular expression takes for an ASCII letter when it
/// ignores case (`ſ`, `K`), so that folding to lower case does not tell.
pub(crate) fn has_odd_case(text: &str) -> bool {
    !text.is_ascii() && text.contains(['\u{17f}', '\u{212a}'])
}

/// A gram of a folded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gram {
    /// 3 bytes.
    Short(u32),
    /// The rank of 5 bytes among their neighbours, which tells them apart as well as they do.
    Long(u64),
}

impl Gram {
    pub(crate) fn key(self) -> Key {
        match self {
            Self::Short(bytes) => Key(mix(u64::from(bytes) ^ SHORT_SEED)),
            Self::Long(rank) => Key(mix(rank)),
        }
    }
}

/// Calls `found` with every gram of a folded text, some more than once.
pub(crate) fn grams(folded: &[u8], mut found: impl FnMut(Gram)) {
    const MASK: u64 = (1 << (8 * LONG_GRAM_BYTES)) - 1;
    let mut window = [u64::MAX; COMPETING_GRAMS];
    let mut last = None;
    let mut value: u64 = 0;
    for (index, byte) in folded.iter().enumerate() {
        value = (value << 8 | u64::from(*byte)) & MASK;
        if index >= 2 {
            found(Gram::Short((value & 0xff_ffff) as u32));
        }
        // An odd factor maps no two values to one; this runs for every byte that is stored.
        window[index % COMPETING_GRAMS] = (value + 1).wrapping_mul(LONG_SEED);
        if index + 2 >= LONG_GRAM_BYTES + COMPETING_GRAMS {
            let [a, b, c, d] = window;
            let least = a.min(b).min(c.min(d));
            if Some(least) != last {
                last = Some(least);
                found(Gram::Long(least));
            }
        }
    }
}

/// Folds to lower case, byte for byte in place: a character whose lower case has another length,
/// or is ASCII, stays. So an offset in the folded text is one in the original, and an ASCII text
/// is found only where ASCII stands.
pub(crate) fn fold(text: &str, into: &mut Vec<u8>) {
    let start = into.len();
    into.extend_from_slice(text.as_bytes());
    if text.is_ascii() {
        into.iter_mut()
            .skip(start)
            .for_each(|b| b.make_ascii_lowercase());
        return;
    }
    into.truncate(start);
    let mut buffer = [0; 4];
    for char in text.chars() {
        into.extend_from_slice(fold_char(char).encode_utf8(&mut buffer).as_bytes());
    }
}

fn fold_char(char: char) -> char {
    if char.is_ascii() {
        return char.to_ascii_lowercase();
    }
    let mut lower = char.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(one), None) if !one.is_ascii() && one.len_utf8() == char.len_utf8() => one,
        _ => char,
    }
}

/// A filter that is being filled.
pub(crate) struct Builder {
    words: Vec<u64>,
    /// The short grams, a bit for each that there can be: nearly all come again and again. Empty
    /// for few bytes of text.
    short: Vec<u64>,
}

impl Builder {
    /// One for about this many bytes of text; it takes an eighth of that at most.
    pub(crate) fn new(text_bytes: usize) -> Self {
        let bits = text_bytes
            .clamp(1 << MIN_BITS_LOG2, 1 << MAX_BITS_LOG2)
            .next_power_of_two();
        Self {
            words: vec![0; bits / 64],
            short: vec![
                0;
                if text_bytes < SMALL_TEXT_BYTES {
                    0
                } else {
                    (1 << 24) / 64
                }
            ],
        }
    }

    /// Puts a gram in.
    pub(crate) fn insert_gram(&mut self, gram: Gram) {
        match gram {
            Gram::Short(bytes) if !self.short.is_empty() => {
                if let Some(word) = self.short.get_mut(bytes as usize / 64) {
                    *word |= 1 << (bytes % 64);
                }
            }
            other => self.insert(other.key()),
        }
    }

    /// Puts the keys of a name or value in.
    pub(crate) fn insert_both(&mut self, keys: [Key; 2]) {
        keys.into_iter().for_each(|key| self.insert(key));
    }

    /// Puts a key in.
    fn insert(&mut self, key: Key) {
        let mask = self.words.len() * 64 - 1;
        for bit in bits(key, mask) {
            if let Some(word) = self.words.get_mut(bit / 64) {
                *word |= 1 << (bit % 64);
            }
        }
    }

    /// Folds it to a good size: at most two bits of five are set, unless it was too full at once.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        for (index, word) in (0_u32..).zip(std::mem::take(&mut self.short)) {
            let mut left = word;
            while left != 0 {
                self.insert(Gram::Short(index * 64 + left.trailing_zeros()).key());
                left &= left - 1;
            }
        }
        while self.words.len() * 64 > 1 << MIN_BITS_LOG2 {
            let (low, high) = self.words.split_at(self.words.len() / 2);
            let half: Vec<u64> = low.iter().zip(high).map(|(a, b)| a | b).collect();
            let set: usize = half.iter().map(|word| word.count_ones() as usize).sum();
            if set * 5 > half.len() * 64 * 2 {
                break;
            }
            self.words = half;
        }
        self.words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect()
    }
}

fn bits(key: Key, mask: usize) -> [usize; 2] {
    // Only low bits take part, so that folding in half keeps every member findable.
    [key.0 as usize & mask, (key.0 >> 32) as usize & mask]
}

/// Whether a finished filter may hold a key. Any bytes whose length is not a power of two hold
/// everything.
pub(crate) fn may_contain(filter: &[u8], key: Key) -> bool {
    if !filter.len().is_power_of_two() {
        return true;
    }
    let mask = filter.len() * 8 - 1;
    bits(key, mask).into_iter().all(|bit| {
        filter
            .get(bit / 8)
            .is_none_or(|byte| byte & (1 << (bit % 8)) != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn folded(text: &str) -> Vec<u8> {
        let mut into = Vec::new();
        fold(text, &mut into);
        into
    }

    #[test]
    fn few_and_many_bytes_hold_the_same_grams() {
        for repeat in [1, 10_000] {
            let texts: Vec<String> = (0..repeat).map(|_| "Alpha beta".to_owned()).collect();
            let filter = filter(&texts);
            for (text, there) in [("alp", true), ("PHA BET", true), ("xyz", false)] {
                assert_eq!(may_contain_text(&filter, text), there, "{text} of {repeat}");
            }
        }
    }

    fn filter(texts: &[String]) -> Vec<u8> {
        let mut builder = Builder::new(texts.iter().map(String::len).sum());
        for text in texts {
            grams(&folded(text), |gram| builder.insert_gram(gram));
        }
        builder.finish()
    }

    fn may_contain_text(filter: &[u8], text: &str) -> bool {
        let mut all = true;
        grams(&folded(text), |gram| all &= may_contain(filter, gram.key()));
        all
    }

    proptest! {
        #[test]
        fn never_denies_a_piece_of_what_is_in(
            texts in prop::collection::vec("[a-dA-D0-2 ]{0,60}|\\PC{0,30}", 1..20),
            pick in any::<prop::sample::Index>(),
            from in 0_usize..60,
            len in 0_usize..40,
        ) {
            let text = pick.get(&texts);
            let piece: String = text.chars().skip(from).take(len).collect();
            prop_assert!(may_contain_text(&filter(&texts), &piece.to_uppercase().to_lowercase())
                || !folded(text).windows(piece.len().max(1)).any(|w| w == folded(&piece.to_uppercase().to_lowercase())));
            prop_assert!(may_contain_text(&filter(&texts), &piece));
        }

        #[test]
        fn folding_keeps_offsets(text in "\\PC*") {
            prop_assert_eq!(folded(&text).len(), text.len());
            prop_assert_eq!(folded(&text.to_ascii_uppercase()), folded(&text));
        }
    }

    #[test]
    fn denies_nearly_all_of_what_is_not_in() {
        let lines: Vec<String> = (0..5000_u64)
            .map(|n| {
                format!(
                    "2024-05-01T10:00:{:02} INFO request {:016x} took {} ms",
                    n % 60,
                    mix(n),
                    n % 977
                )
            })
            .collect();
        let filter = filter(&lines);
        let raw: usize = lines.iter().map(String::len).sum();
        assert!(filter.len() <= raw / 8, "{} of {raw}", filter.len());
        let wrong = (0..1000_u64)
            .filter(|n| may_contain_text(&filter, &format!("request {:016x}", mix(n + 1_000_000))))
            .count();
        assert!(wrong < 20, "{wrong} of 1000");
    }

    #[test]
    fn odd_bytes_deny_nothing() {
        let [key, _] = Key::name("a");
        assert!(may_contain(&[], key));
        assert!(may_contain(&[0, 0, 0], key));
        assert!(!may_contain(&[0, 0, 0, 0], key));
    }
}
