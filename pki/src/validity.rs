//! From when until when a new certificate is valid, and its serial number. When one is due for
//! renewal is in `inspect`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::TryRngCore;
use rand::rngs::OsRng;
use rcgen::{CertificateParams, SerialNumber};

use super::PkiError;

/// How long before `now` a certificate begins, so that a machine whose clock is a little behind
/// accepts it at once.
pub const BACKDATE: SignedDuration = SignedDuration::from_mins(5);

/// The span of a certificate that lives for `lifetime` from `now` on.
pub(super) fn span(
    now: Timestamp,
    lifetime: SignedDuration,
) -> Result<(Timestamp, Timestamp), PkiError> {
    if lifetime <= SignedDuration::ZERO {
        return Err(PkiError::Lifetime);
    }
    let not_before = now.checked_sub(BACKDATE).map_err(|_| PkiError::Lifetime)?;
    let not_after = now.checked_add(lifetime).map_err(|_| PkiError::Lifetime)?;
    Ok((not_before, not_after))
}

/// Writes the span into the parameters, in whole seconds as X.509 has no others.
pub(super) fn set(
    params: &mut CertificateParams,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<(), PkiError> {
    let since_1970 = |moment: Timestamp| {
        u64::try_from(moment.as_second())
            .map(Duration::from_secs)
            .map_err(|_| PkiError::Lifetime)
    };
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_1970(not_before)?;
    params.not_after = epoch + since_1970(not_after)?;
    Ok(())
}

/// A random serial number: 127 bits, positive, and so at most 16 bytes in DER.
pub(super) fn serial() -> Result<SerialNumber, PkiError> {
    let mut bytes = [0_u8; 16];
    OsRng
        .try_fill_bytes(&mut bytes)
        .map_err(PkiError::Randomness)?;
    if let Some(first) = bytes.first_mut() {
        // The top bit would make it negative; the next one keeps it from having leading zeros.
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(SerialNumber::from_slice(&bytes))
}
