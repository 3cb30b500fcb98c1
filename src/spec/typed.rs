//! Parses JSON into types; the errors name the field.

use serde::Deserialize;
use serde_json::Value;

use super::{Refusal, place, refusal};

/// Parses a text. An error names the field.
pub fn typed<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| refused(text, &error))
}

/// Parses a tree. It becomes a text first: this is rare, and the types of a document then have one parser.
pub fn from_tree<T: for<'a> Deserialize<'a>>(tree: &Value) -> Result<T, Refusal> {
    let text = tree.to_string();
    // Nobody has seen this text, so an error does not name a line of it.
    serde_json::from_str(&text).map_err(|error| at_field(&place::of_error(&text, &error), &without_line(&error)))
}

fn refused(text: &str, error: &serde_json::Error) -> Refusal {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Err(error) => refusal!("config.json", "{error}"),
        Ok(_) => at_field(&place::of_error(text, error), &error.to_string()),
    }
}

/// The text of an error without its line and column.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).map_or(text.clone(), str::to_owned)
}

/// Puts the field in front of an error of the parser. If a field is missing, the error names that field.
fn at_field(path: &str, error: &str) -> Refusal {
    // The parser's words for an enum that is not a string.
    let text = nearest(error.replacen("expected value", "expected a string", 1));
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match (path, missing) {
        ("", Some(name)) => refusal!(name.to_owned(), "must be given"),
        (path, Some(name)) => refusal!(format!("{path}.{name}"), "must be given"),
        ("", None) => refusal!("config.json", "{text}"),
        (path, None) => refusal!(path.to_owned(), "{text}"),
    }
}

/// Shortens an error: for a wrong word the parser lists all words that the field takes. If the list is long, only
/// similar words are kept.
fn nearest(text: String) -> String {
    const FEW: usize = 8;
    let Some((before, list)) = text.split_once(", expected one of ") else { return text };
    let Some(given) = before.split('`').nth(1) else { return text };
    if list.matches('`').count() <= 2 * FEW {
        return text;
    }
    let (list, place) = list.split_once(" at line ").map_or((list, None), |(list, place)| (list, Some(place)));
    let mut near: Vec<(usize, &str)> = list
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|word| (distance(given, word), word))
        .filter(|(far, _)| *far <= 3)
        .collect();
    near.sort();
    let words: Vec<String> = near.iter().take(3).map(|(_, word)| format!("`{word}`")).collect();
    let near = if words.is_empty() { String::new() } else { format!(", did you mean {}?", words.join(" or ")) };
    let place = place.map_or(String::new(), |place| format!(" at line {place}"));
    format!("{before}{near}{place}")
}

/// The Levenshtein distance of two words.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (at, another) in other.chars().enumerate() {
            let exchanged = diagonal + usize::from(letter != another);
            diagonal = row[at + 1];
            row[at + 1] = exchanged.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.chars().count()]
}

#[cfg(test)]
mod tests {
    #[test]
    fn distance_is_that_of_levenshtein() {
        assert_eq!(super::distance("kitten", "sitting"), 3);
    }
}
