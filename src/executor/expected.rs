//! The messages that `init` may send, by its program.

use anyhow::{Result, anyhow};

use crate::init::op::{self, Message, Op, Rules, kind};
use crate::plan::Program;

/// Checks a message against the program: a process that took over `init` inside the container can send only what the
/// program sends, each operation once, in order. Returns the index of the first operation that may send the next
/// message.
pub fn expected(program: &Program, at: u32, message: &Message) -> Result<u32> {
    let next = program.ops().get(message.index as usize).and_then(|op| match message.kind {
        kind::FAILED | kind::WARNING => Some(message.index),
        asked => (says(op) == Some(asked) && is_asked(op, message)).then_some(message.index + 1),
    });
    // An operation that has asked may still fail, if it cannot read the answer.
    let from = if message.kind == kind::FAILED { at.saturating_sub(1) } else { at };
    next.filter(|_| message.index >= from).ok_or_else(|| anyhow!("unexpected message of init: {message:?}"))
}

/// The kind of message that an operation sends when it succeeds.
fn says(op: &Op) -> Option<u32> {
    let announces = |rules: Rules| rules.has(Rules::LIVING).then_some(kind::MOUNTED);
    match *op {
        Op::Enter(op::Enter::Fork { .. }) => Some(kind::FORKED),
        Op::Enter(_) => None,
        Op::Mount(op::Mount::FileSystem { rules, .. } | op::Mount::Attach { rules, .. }) => announces(rules),
        Op::Mount(_) | Op::Rootfs(_) | Op::Entry(_) => None,
        Op::Rights(op::Rights::Seccomp { .. }) => Some(kind::LISTENER),
        Op::Rights(_) | Op::Process(_) => None,
        Op::Talk(op::Talk::Ask { .. }) => Some(kind::ASK),
        Op::Talk(op::Talk::Terminal { .. }) => Some(kind::TERMINAL),
        Op::Talk(op::Talk::Wait | op::Talk::Gate { .. }) => None,
    }
}

/// Whether the message asks what the operation asks.
fn is_asked(op: &Op, message: &Message) -> bool {
    !matches!(op, Op::Talk(op::Talk::Ask { what }) if message.detail != *what as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::op::Ask;
    use crate::spec::Field;

    #[test]
    fn init_can_say_what_its_program_does_once() {
        let mut program = Program::new();
        let ops: [Op; 3] = [
            op::Enter::Undumpable.into(),
            op::Enter::Fork { flags: 0 }.into(),
            op::Talk::Ask { what: Ask::Ready }.into(),
        ];
        for op in ops {
            program.push(&Field::of("process"), op);
        }
        let say = |at, kind, index, detail| {
            expected(&program, at, &Message { kind, index, detail, ..Message::default() }).ok()
        };
        assert_eq!(say(0, kind::WARNING, 0, 0), Some(0));
        assert_eq!(say(0, kind::FORKED, 1, 77), Some(2));
        assert_eq!(say(2, kind::FORKED, 1, 78), None);
        assert_eq!(say(0, kind::FORKED, 0, 77), None);
        assert_eq!(say(2, kind::ASK, 2, Ask::Ready as u64), Some(3));
        assert_eq!(say(2, kind::ASK, 2, Ask::Hooks as u64), None);
        assert_eq!(say(3, kind::ASK, 2, Ask::Ready as u64), None);
        assert_eq!(say(2, kind::TERMINAL, 2, 0), None);
        assert_eq!(say(2, kind::FAILED, 9, 0), None);
        assert_eq!(say(3, kind::FAILED, 2, 0), Some(2));
        assert_eq!(say(3, kind::FAILED, 1, 0), None);
        assert_eq!(say(3, kind::WARNING, 2, 0), None);
    }
}
