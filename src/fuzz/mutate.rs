//! Changes of inputs: of JSON texts by their structure, of all others by their bytes.

use serde_json::{Map, Value};

/// Byte that separates the parts of an input that has several. JSON text, which is UTF-8, never has it.
pub const SEPARATOR: u8 = 0xff;

/// Numbers that follow from a seed (xorshift).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    /// A number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end.max(1)
    }

    pub fn one<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Changes an input a little. `others` are inputs whose parts may be used.
pub fn change(input: &mut Vec<u8>, others: &[Vec<u8>], json: bool, dice: &mut Dice) {
    let end = input.iter().position(|byte| *byte == SEPARATOR).unwrap_or(input.len());
    if json
        && dice.below(4) != 0
        && let Ok(mut value) = serde_json::from_slice(&input[..end])
    {
        for _ in 0..1 + dice.below(3) {
            change_value(&mut value, others, dice);
        }
        input.splice(..end, value.to_string().into_bytes());
        return;
    }
    for _ in 0..1 + dice.below(4) {
        change_bytes(input, others, dice);
    }
}

fn change_bytes(input: &mut Vec<u8>, others: &[Vec<u8>], dice: &mut Dice) {
    const BYTES: &[u8] = b"\0\x01\x7f\x80\xfe\xff\n:,=/. -0129@'\"[]{}()\\%av";
    let at = dice.below(input.len() + 1);
    let end = (at + 1 + dice.below(16)).min(input.len());
    match dice.below(7) {
        0 | 1 if at < input.len() => input[at] = *dice.one(BYTES),
        2 if at < input.len() => input[at] ^= 1 << dice.below(8),
        3 => drop(input.drain(at.min(end)..end)),
        4 => {
            let part: Vec<u8> = input[at.min(end)..end].to_vec();
            input.splice(at..at, part);
        }
        5 if !others.is_empty() => {
            let other = dice.one(others);
            let from = dice.below(other.len());
            let part = &other[from..(from + 1 + dice.below(64)).min(other.len())];
            input.splice(at..at, part.iter().copied());
        }
        _ => input.insert(at, *dice.one(BYTES)),
    }
}

const TEXTS: &[&str] = &[
    "",
    "a",
    "/",
    "..",
    "/..",
    "../../x",
    "a\nb",
    "\0",
    "a\0b",
    "é\u{202e}",
    "/proc/self/fd/7",
    "/proc/self/root",
    "@x",
    ":",
    "a:b:c",
    "-1",
    "max",
    "0-3,9",
    "8:0 1",
    "CAP_SYS_ADMIN",
    "CAP_CHOWN",
    "ro",
    "rbind",
    "host",
    "/dev",
    "/sys/fs/cgroup",
    "/proc",
    "unconfined",
    "A=B",
    "=",
    "true",
    "'a'",
    "uint64 1",
    "-.slice",
    "SCMP_ACT_ALLOW",
];
const NUMBERS: &[i64] = &[
    0,
    1,
    -1,
    2,
    7,
    41,
    63,
    64,
    65,
    255,
    1000,
    1024,
    65535,
    65536,
    i32::MAX as i64,
    i32::MIN as i64,
    u32::MAX as i64 - 1,
    u32::MAX as i64,
    u32::MAX as i64 + 1,
    i64::MAX,
    i64::MIN,
];
/// Values at the edges of types, and texts that mean something somewhere.
fn edge(dice: &mut Dice) -> Value {
    match dice.below(12) {
        0 => Value::Null,
        1 => Value::Bool(dice.below(2) == 0),
        2 => Value::Array(Vec::new()),
        3 => Value::Object(Map::new()),
        4 => Value::from(u64::MAX),
        5 => Value::from(*dice.one(&[0.5, -0.0, 1e300])),
        6 => Value::from("x/".repeat(1 + dice.below(3000))),
        7 | 8 => Value::from(*dice.one(NUMBERS)),
        _ => Value::from(*dice.one(TEXTS)),
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// The value with this number, counted from the whole one on.
fn nth<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(list) => list.iter_mut().find_map(|value| nth(value, at)),
        Value::Object(members) => members.values_mut().find_map(|value| nth(value, at)),
        _ => None,
    }
}

fn change_value(whole: &mut Value, others: &[Vec<u8>], dice: &mut Dice) {
    if dice.below(3) == 0 {
        return graft(whole, others, dice);
    }
    let (at, from) = (dice.below(count(whole)), dice.below(count(whole)));
    let copy = nth(&mut whole.clone(), &mut { from }).map(|value| value.clone()).unwrap_or_default();
    let Some(value) = nth(whole, &mut { at }) else { return };
    match value {
        Value::Object(members) if !members.is_empty() && dice.below(2) == 0 => {
            let key = members.keys().nth(dice.below(members.len())).cloned().unwrap_or_default();
            members.remove(&key);
        }
        Value::Array(list) if !list.is_empty() && dice.below(3) != 0 => {
            let at = dice.below(list.len());
            match dice.below(3) {
                0 => drop(list.remove(at)),
                1 => list.insert(at, list[at].clone()),
                _ => {
                    let last = list.len() - 1;
                    list.swap(at, last);
                }
            }
        }
        Value::Number(number) if dice.below(2) == 0 => {
            let number = number.as_i64().unwrap_or_default();
            *value = Value::from(*dice.one(&[number.wrapping_add(1), number.wrapping_sub(1), number.wrapping_neg()]));
        }
        Value::String(text) if dice.below(3) == 0 => {
            let mut bytes = std::mem::take(text).into_bytes();
            change_bytes(&mut bytes, &[], dice);
            *text = String::from_utf8_lossy(&bytes).into_owned();
        }
        value if dice.below(3) == 0 => *value = copy,
        value => *value = edge(dice),
    }
}

/// Takes a part of another input over, at the same place.
fn graft(whole: &mut Value, others: &[Vec<u8>], dice: &mut Dice) {
    if others.is_empty() {
        return;
    }
    let other = dice.one(others);
    let end = other.iter().position(|byte| *byte == SEPARATOR).unwrap_or(other.len());
    let Ok(other) = serde_json::from_slice::<Value>(&other[..end]) else { return };
    let (mut here, mut there) = (whole, &other);
    for _ in 0..5 {
        let Some(given) = there.as_object().filter(|_| here.is_object()) else { break };
        let Some((key, value)) = given.iter().nth(dice.below(given.len())) else { return };
        there = value;
        here = here.as_object_mut().expect("an object").entry(key.clone()).or_insert(Value::Null);
        if dice.below(3) == 0 {
            break;
        }
    }
    match (&mut *here, there) {
        (Value::Array(list), Value::Array(given)) if !given.is_empty() => list.push(dice.one(given).clone()),
        (here, there) => *here = there.clone(),
    }
}
