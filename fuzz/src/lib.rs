//! How the bytes of an input are read: in lines, as the protocols have them, so that seeds can be written by hand.

/// A line, and what follows it.
pub fn line(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[]),
    }
}

/// Headers, one a line.
pub fn headers(mut input: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    while !input.is_empty() {
        let (one, rest) = line(input);
        let colon = one.iter().position(|byte| *byte == b':').unwrap_or(one.len());
        let name = String::from_utf8_lossy(&one[..colon]).into_owned();
        found.push((name, one.get(colon + 1..).unwrap_or_default().to_vec()));
        input = rest;
    }
    found
}

/// What the network makes of it: pieces of this size.
pub fn cut(input: &[u8], size: u8) -> Vec<Vec<u8>> {
    input.chunks(usize::from(size).max(1)).map(<[u8]>::to_vec).collect()
}
