//! Percent-encoded texts, of addresses and requests.

/// The bytes of a percent-encoded text, and whether it is sound: a percent sign that begins no byte stays as it is.
#[must_use]
pub fn percent_decoded(text: &str) -> (Vec<u8>, bool) {
    let (mut bytes, mut is_sound) = (Vec::with_capacity(text.len()), true);
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        let pair = digit(0).zip(digit(1)).filter(|_| byte == b'%');
        let decoded = pair.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        is_sound &= decoded.is_some() || byte != b'%';
        bytes.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    (bytes, is_sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_byte_stays_and_is_noticed() {
        for (text, bytes, is_sound) in [
            ("", &b""[..], true),
            ("a+b%20c%C3%bc", "a+b cü".as_bytes(), true),
            ("%00%ff", b"\x00\xff", true),
            ("%", b"%", false),
            ("%1", b"%1", false),
            ("%+1", b"%+1", false),
            ("%zz%41", b"%zzA", false),
            ("%%41", b"%A", false),
        ] {
            assert_eq!(percent_decoded(text), (bytes.to_vec(), is_sound), "{text}");
        }
    }
}
