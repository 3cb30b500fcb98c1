//! Tests of the generated programs: an interpreter runs them, and the results must equal the rules.

use super::*;

/// An access to a device that the kernel asks about.
#[derive(Clone, Copy, Debug)]
struct Question {
    kind: DeviceKind,
    access: u8,
    major: u32,
    minor: u32,
}

/// Runs a program as the kernel does.
fn run(insns: &[Insn], question: Question) -> bool {
    let kind = if question.kind == DeviceKind::Block { 1 } else { 2 };
    let load = |code, offset| match (code, offset) {
        (LDXH, 0) => kind,
        (LDXH, 2) => u32::from(question.access),
        (LDXW, 4) => question.major,
        (LDXW, 8) => question.minor,
        other => panic!("load {other:?}"),
    };
    let mut registers = [None; 16];
    let mut at = 0;
    loop {
        let Insn { code, regs, off, imm } = insns[at];
        let (to, imm) = (usize::from(regs & 15), imm.cast_unsigned());
        let value = |registers: &[Option<u32>]| registers[to].expect("a register that was set");
        at += 1;
        let jump = match code {
            LDXH | LDXW => {
                registers[to] = Some(load(code, off));
                false
            }
            MOV => {
                registers[to] = Some(imm);
                false
            }
            AND => {
                registers[to] = Some(value(&registers) & imm);
                false
            }
            JA => true,
            JEQ => value(&registers) == imm,
            JNE => value(&registers) != imm,
            JSET => value(&registers) & imm != 0,
            EXIT => return value(&registers) == 1,
            other => panic!("operation {other:#x}"),
        };
        if jump {
            assert!(off >= 0, "a loop");
            at += off as usize;
        }
    }
}

/// The verdict of the rules: the last rule about an access decides it.
fn allowed(rules: &[DeviceRule], question: Question) -> bool {
    [1, 2, 4].into_iter().filter(|bit| question.access & bit != 0).all(|bit| {
        let asked = DeviceRule {
            allow: true,
            kind: question.kind,
            major: Some(question.major),
            minor: Some(question.minor),
            access: Access(bit),
        };
        rules.iter().rev().find(|rule| rule.covers(&asked)).is_some_and(|rule| rule.allow)
    })
}

fn questions() -> impl Iterator<Item = Question> {
    (0..2_u32 * 8 * 4 * 4).map(|n| Question {
        kind: if n % 2 == 0 { DeviceKind::Block } else { DeviceKind::Char },
        access: (n / 2 % 8) as u8,
        major: n / 16 % 4,
        minor: n / 64,
    })
}

fn check(rules: &[DeviceRule]) {
    let program = DeviceProgram::new(rules.iter());
    for question in questions().filter(|question| question.access != 0) {
        let verdict = program.as_ref().is_none_or(|program| run(program.insns(), question));
        assert_eq!(verdict, allowed(rules, question), "{question:?} {rules:?} {program:?}");
    }
    if let Some(program) = program {
        assert_reachable(program.insns());
    }
}

/// Checks that all code is reachable: the verifier refuses unreachable code.
fn assert_reachable(insns: &[Insn]) {
    let mut reached = vec![false; insns.len()];
    let mut open = vec![0];
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut reached[at], true) {
            continue;
        }
        let target = (at + 1).checked_add_signed(insns[at].off.into()).unwrap();
        match insns[at].code {
            EXIT => {}
            JA => open.push(target),
            JEQ | JNE | JSET => open.extend([at + 1, target]),
            _ => open.push(at + 1),
        }
    }
    assert!(reached.iter().all(|reached| *reached), "{insns:?}");
}

/// A small random generator, which gives the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }

    fn rule(&mut self) -> DeviceRule {
        let kinds = [DeviceKind::All, DeviceKind::Block, DeviceKind::Char, DeviceKind::Char];
        let mut number = || (self.roll(3) != 0).then(|| self.roll(4) as u32);
        let (major, minor) = (number(), number());
        DeviceRule {
            allow: self.roll(2) == 0,
            kind: kinds[self.roll(4) as usize],
            major,
            minor,
            access: if self.roll(2) == 0 { Access::ALL } else { Access(1 + self.roll(7) as u8) },
        }
    }
}

#[test]
fn programs_say_what_the_rules_say() {
    let mut dice = Dice(1);
    for _ in 0..20_000 {
        let count = dice.roll(9);
        let rules: Vec<DeviceRule> = (0..count).map(|_| dice.rule()).collect();
        check(&rules);
    }
}

#[test]
fn docker_rules_make_a_short_program() {
    // The rules of dockerd 28, and the default rules after them.
    let json = r#"[
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 9, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 8, "access": "rwm"},
        {"allow": true, "type": "c", "major": 5, "minor": 0, "access": "rwm"},
        {"allow": true, "type": "c", "major": 5, "minor": 1, "access": "rwm"},
        {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "rwm"}
    ]"#;
    let configured: Vec<_> = serde_json::from_str(json).unwrap();
    let rules = super::super::devices::rules(&configured).unwrap();
    let program = DeviceProgram::new(rules.iter().map(|(rule, _)| rule)).unwrap();
    assert_eq!(program.len(), 24, "{:?}", program.insns());
    assert_reachable(program.insns());
    for (minor, verdict) in [(3, true), (7, true), (8, true), (1, false), (4, false)] {
        let question = Question { kind: DeviceKind::Char, access: 6, major: 1, minor };
        assert_eq!(run(program.insns(), question), verdict, "1:{minor}");
    }
    let mknod = Question { kind: DeviceKind::Block, access: 1, major: 254, minor: 0 };
    assert!(run(program.insns(), mknod));
    assert!(!run(program.insns(), Question { access: 3, ..mknod }));
}

#[test]
fn nothing_to_refuse_nothing_to_load() {
    let all = DeviceRule { allow: true, kind: DeviceKind::All, major: None, minor: None, access: Access::ALL };
    let rules = super::super::devices::rules(&[]).unwrap();
    let behind = rules.iter().skip(1).map(|(rule, _)| *rule);
    let rules: Vec<DeviceRule> = std::iter::once(all).chain(behind).collect();
    assert_eq!(DeviceProgram::new(rules.iter()), None);
    let none: [DeviceRule; 0] = [];
    assert_eq!(DeviceProgram::new(none.iter()).unwrap().len(), 2);
}
