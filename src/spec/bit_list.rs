//! Lists of CPUs and memory nodes, such as `0-3, 7`.

/// The numbers of `text` as bits, the lowest first. `None` if the text is malformed or has a number that no kernel
/// supports.
pub fn bit_list(text: &str) -> Option<Vec<u64>> {
    // The largest NR_CPUS of x86. The limit of memory nodes is lower.
    const MOST: usize = 8192;
    let mut words: Vec<u64> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last >= MOST {
            return None;
        }
        words.resize(words.len().max(last / 64 + 1), 0);
        for bit in first..=last {
            words[bit / 64] |= 1 << (bit % 64);
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers() {
        assert_eq!(bit_list("0-3, 7"), Some(vec![0x8f]));
        assert_eq!(bit_list("64"), Some(vec![0, 1]));
        assert_eq!(bit_list(""), Some(vec![]));
        for bad in ["3-1", "x", "1-", "-", "9999999"] {
            assert_eq!(bit_list(bad), None, "{bad}");
        }
    }
}
