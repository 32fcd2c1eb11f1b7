//! What a join token is made of: the id, which is public, the secret and the role.

use std::fmt;
use std::str::FromStr;

use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::{Zeroize as _, Zeroizing};

use super::TokenError;

const ALPHABET: [u8; 36] = *b"abcdefghijklmnopqrstuvwxyz0123456789";

const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 16;

/// The public half of a token: 6 characters of a-z and 0-9.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(String);

impl TokenId {
    /// A new one at random.
    pub fn random() -> Result<Self, TokenError> {
        sample(&mut OsRng, ID_LENGTH)
            .map(Self)
            .map_err(TokenError::Randomness)
    }

    /// The 6 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TokenId {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        if is_part(text, ID_LENGTH) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TokenError::Id)
        }
    }
}

/// The secret half of a token: 16 characters of a-z and 0-9, which are 82.7 bits.
///
/// Hidden from `Debug`, without `Display`, wiped from memory when dropped.
#[derive(Clone)]
pub struct TokenSecret(Zeroizing<String>);

impl TokenSecret {
    /// A new one at random.
    pub fn random() -> Result<Self, TokenError> {
        sample(&mut OsRng, SECRET_LENGTH)
            .map(|text| Self(Zeroizing::new(text)))
            .map_err(TokenError::Randomness)
    }

    /// The 16 characters, for where they have to be written.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for TokenSecret {
    /// In constant time, so that comparing tells nothing about where two secrets differ.
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self
                .0
                .bytes()
                .zip(other.0.bytes())
                .fold(0, |difference, (a, b)| difference | (a ^ b))
                == 0
    }
}

impl Eq for TokenSecret {}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(redacted)")
    }
}

impl FromStr for TokenSecret {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        if is_part(text, SECRET_LENGTH) {
            Ok(Self(Zeroizing::new(text.to_owned())))
        } else {
            Err(TokenError::Secret)
        }
    }
}

fn is_part(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// `length` characters, each of the alphabet's with the same probability.
///
/// A byte's remainder by 36 would favour the first four characters, as 256 is no multiple of 36.
/// So bytes from 252 = 7 x 36 on are thrown away.
fn sample<R: TryRngCore>(rng: &mut R, length: usize) -> Result<String, R::Error> {
    let mut out = String::with_capacity(length);
    let mut bytes = [0_u8; 32];
    while out.len() < length {
        rng.try_fill_bytes(&mut bytes)?;
        let drawn = bytes
            .iter()
            .filter(|byte| **byte < 252)
            .filter_map(|byte| ALPHABET.get(usize::from(byte % 36)))
            .map(|character| char::from(*character))
            .take(length - out.len());
        out.extend(drawn);
    }
    bytes.zeroize();
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    use super::*;

    const DRAWN: u32 = 720_000;

    /// Pearson's chi-square of how often each character was drawn, for 35 degrees of freedom.
    fn chi_square(text: &str) -> f64 {
        let mut counts = [0_u32; 36];
        for byte in text.bytes() {
            counts[ALPHABET.iter().position(|c| *c == byte).unwrap()] += 1;
        }
        let expected = f64::from(DRAWN) / 36.0;
        counts
            .iter()
            .map(|count| (f64::from(*count) - expected).powi(2) / expected)
            .sum()
    }

    /// 88 is exceeded by chance once in a million runs; the source here is seeded, so never.
    const LIMIT: f64 = 88.0;

    #[test]
    fn every_character_is_equally_likely() {
        let mut rng = StdRng::seed_from_u64(36);
        let text = sample(&mut rng, DRAWN as usize).unwrap();
        assert!(chi_square(&text) < LIMIT, "{}", chi_square(&text));
    }

    #[test]
    fn the_test_above_would_notice_a_remainder_without_rejection() {
        let mut rng = StdRng::seed_from_u64(36);
        let mut bytes = vec![0_u8; DRAWN as usize];
        rng.try_fill_bytes(&mut bytes).unwrap();
        let text: String = bytes
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(byte % 36)]))
            .collect();
        assert!(chi_square(&text) > 10.0 * LIMIT, "{}", chi_square(&text));
    }

    #[test]
    fn what_is_drawn_has_the_format() {
        for _ in 0..1000 {
            let id = TokenId::random().unwrap();
            assert_eq!(id.as_str().parse::<TokenId>().unwrap(), id);
            let secret = TokenSecret::random().unwrap();
            assert_eq!(secret.expose().parse::<TokenSecret>().unwrap(), secret);
        }
        assert_ne!(
            TokenSecret::random().unwrap(),
            TokenSecret::random().unwrap()
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret: TokenSecret = "0123456789abcdef".parse().unwrap();
        assert_eq!(format!("{secret:?}"), "TokenSecret(redacted)");
    }

    proptest! {
        #[test]
        fn only_the_format_is_accepted(text in "[a-zA-Z0-9.-]{0,20}") {
            let good = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            prop_assert_eq!(text.parse::<TokenId>().is_ok(), good && text.len() == 6);
            prop_assert_eq!(text.parse::<TokenSecret>().is_ok(), good && text.len() == 16);
        }
    }
}
