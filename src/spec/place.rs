//! The place in a document at which the parser refused a value.

/// A step from a value to one in it.
enum Step<'a> {
    /// The name of a member, as the text has it; `None` before the first one.
    Member(Option<&'a str>),
    Element(usize),
}

/// The path of the refused value, such as `mounts[1].options`; empty for the whole document.
///
/// The parser only tells how far it has read: to the end of the value, or to its beginning if it refuses a list or an
/// object as such. So this reads a valid text again up to there. A wrapper of the parser that keeps the path would exist
/// once more for each type of a document, which is a fifth of the whole program.
pub fn of_error(text: &str, error: &serde_json::Error) -> String {
    let line_start = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    // The column of an error of syntax is behind the unexpected letter: an enum that is a list is one.
    let letter = usize::from(error.is_syntax());
    path(&steps(text, line_start + error.column().saturating_sub(letter)))
}

/// The steps to the value that `end` is in or directly behind.
fn steps(text: &str, end: usize) -> Vec<Step<'_>> {
    let bytes = text.as_bytes();
    let (mut steps, mut at) = (Vec::new(), 0);
    while at < end.min(bytes.len()) {
        let start = at;
        at += 1;
        match bytes[start] {
            b'{' => steps.push(Step::Member(None)),
            b'[' => steps.push(Step::Element(0)),
            b'}' | b']' => drop(steps.pop()),
            b',' => match steps.last_mut() {
                Some(Step::Element(index)) => *index += 1,
                Some(Step::Member(name)) => *name = None,
                None => {}
            },
            b'"' => {
                at += string_length(&bytes[at..]);
                if let Some(Step::Member(name @ None)) = steps.last_mut() {
                    *name = text.get(start + 1..at - 1);
                }
            }
            _ => {}
        }
    }
    steps
}

/// The length of the rest of a string, with the quotation mark.
fn string_length(rest: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    rest.len()
}

fn path(steps: &[Step<'_>]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Member(Some(name)) if path.is_empty() => path += name,
            Step::Member(Some(name)) => path = format!("{path}.{name}"),
            Step::Member(None) => {}
            Step::Element(index) => path = format!("{path}[{index}]"),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let text = r#"{"a": [1, {"b \" ]": "x"}, [2]], "c": {"d": null, "e": {}}}"#;
        let behind = |part: &str| path(&steps(text, text.find(part).unwrap() + part.len()));
        for (part, wanted) in [
            ("[1", "a[0]"),
            (r#""x""#, r#"a[1].b \" ]"#),
            (r#""x"}"#, "a[1]"),
            ("}, ", "a[2]"),
            ("[2", "a[2][0]"),
            ("[2]", "a[2]"),
            ("[2]]", "a"),
            (r#""c": "#, "c"),
            ("null", "c.d"),
            (r#""e": "#, "c.e"),
            ("{}", "c.e"),
            ("{}}", "c"),
            ("{}}}", ""),
        ] {
            assert_eq!(behind(part), wanted, "{part}");
        }
        assert_eq!(path(&steps(text, 0)), "");
    }
}
