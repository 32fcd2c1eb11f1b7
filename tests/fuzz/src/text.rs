//! Texts and bytes: valid ones with a few changes.

use std::ops::Bound;

use bolero::generator::bolero_generator::ValueGenerator;
use bolero::generator::bolero_generator::driver::Driver;

/// What parsers of many kinds have stumbled over.
const WORDS: [&str; 44] = [
    "",
    " ",
    "\n",
    "\r\n",
    "\t",
    "\0",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{85}",
    "\u{202e}",
    "\u{2028}",
    "\u{feff}",
    "é",
    "名",
    "🙂",
    "\"",
    "'",
    "`",
    "\\",
    "/",
    "..",
    ".",
    ",",
    ":",
    ";",
    "-",
    "--",
    "+",
    "=",
    "%",
    "#",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "0",
    "-1",
    "9999999999999999999999",
    "1e999",
    "NaN",
    "null",
    "~",
];

/// Makes bytes.
#[derive(Clone, Debug)]
pub struct Bytes {
    seeds: Vec<Vec<u8>>,
    words: &'static [&'static str],
}

/// Bytes that are like these, with these words in them where others would not be.
///
/// # Panics
/// Without seeds.
pub fn bytes<S: Into<Vec<u8>>>(
    seeds: impl IntoIterator<Item = S>,
    words: &'static [&'static str],
) -> Bytes {
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(Into::into).collect();
    assert!(!seeds.is_empty(), "no seeds");
    Bytes { seeds, words }
}

/// Texts that are like these, with these words in them where others would not be.
pub fn text<S: Into<Vec<u8>>>(
    seeds: impl IntoIterator<Item = S>,
    words: &'static [&'static str],
) -> impl ValueGenerator<Output = String> {
    bytes(seeds, words).map_gen(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

impl ValueGenerator for Bytes {
    type Output = Vec<u8>;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Vec<u8>> {
        let mut bytes = pick(driver, &self.seeds)?.clone();
        for _ in 0..below(driver, 6)? {
            self.change(driver, &mut bytes)?;
        }
        Some(bytes)
    }
}

impl Bytes {
    fn change<D: Driver>(&self, driver: &mut D, bytes: &mut Vec<u8>) -> Option<()> {
        let from = below(driver, bytes.len() + 1)?;
        let length = below(driver, 24)?.min(bytes.len() - from);
        let range = from..from + length;
        match below(driver, 8)? {
            0 => {
                if let Some(byte) = bytes.get_mut(from) {
                    *byte = driver.produce()?;
                }
            }
            1 => drop(bytes.drain(range)),
            2 => bytes.truncate(from),
            3 => {
                let times = below(driver, 200)?;
                let piece = bytes.get(range.clone())?.repeat(times);
                drop(bytes.splice(range, piece));
            }
            4 => {
                let other = pick(driver, &self.seeds)?;
                let start = below(driver, other.len() + 1)?;
                let end = (start + below(driver, 64)?).min(other.len());
                drop(bytes.splice(range, other.get(start..end)?.iter().copied()));
            }
            5 if !self.words.is_empty() => {
                let word = pick(driver, self.words)?;
                drop(bytes.splice(range, word.bytes()));
            }
            6 => {
                let word = pick(driver, &WORDS)?;
                drop(bytes.splice(range, word.bytes()));
            }
            _ => {
                let word = pick(driver, &WORDS)?;
                drop(bytes.splice(from..from, word.bytes()));
            }
        }
        Some(())
    }
}

/// A number from 0 on and below this one.
pub(crate) fn below<D: Driver>(driver: &mut D, end: usize) -> Option<usize> {
    driver.gen_usize(Bound::Included(&0), Bound::Excluded(&end))
}

pub(crate) fn pick<'a, D: Driver, T>(driver: &mut D, from: &'a [T]) -> Option<&'a T> {
    from.get(below(driver, from.len())?)
}

pub(crate) fn any_word<D: Driver>(
    driver: &mut D,
    words: &'static [&'static str],
) -> Option<&'static str> {
    if words.is_empty() || below(driver, 3)? == 0 {
        pick(driver, &WORDS).copied()
    } else {
        pick(driver, words).copied()
    }
}
