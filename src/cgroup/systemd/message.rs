//! Messages of D-Bus (D-Bus specification, "Message Protocol").

use super::gvariant::GVariant;
use super::marshal::{Invalid, LARGEST, Marshaller, Unmarshaller};

/// The types of the header: byte order, kind, flags, version, length of the body, serial number, fields.
const HEADER: &str = "yyyyuua(yv)";
/// The bytes of the header before its fields. With them the length of the whole message is known.
pub const START: usize = 16;

const METHOD_CALL: u8 = 1;
const VERSION: u8 = 1;

/// The codes of header fields.
const PATH: i128 = 1;
const INTERFACE: i128 = 2;
const MEMBER: i128 = 3;
const ERROR_NAME: i128 = 4;
const REPLY_SERIAL: i128 = 5;
const DESTINATION: i128 = 6;
const SIGNATURE: i128 = 8;

/// The receiver of a call, and the method.
pub struct Method<'a> {
    pub destination: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub member: &'a str,
}

impl Method<'_> {
    /// The message of a call.
    ///
    /// # Errors
    /// An argument is not valid.
    pub fn call(&self, serial: u32, arguments: &[GVariant]) -> Result<Vec<u8>, Invalid> {
        let mut body = Marshaller::default();
        arguments.iter().try_for_each(|argument| body.value(argument))?;
        let length = u32::try_from(body.bytes.len()).map_err(|_| "the message is too long")?;
        let field = |code: i128, kind: char, text: &str| {
            let value = GVariant::Text(kind, text.to_owned());
            GVariant::Tuple(vec![GVariant::Integer('y', code), GVariant::Variant(Box::new(value))])
        };
        let mut fields = vec![
            field(PATH, 'o', self.path),
            field(INTERFACE, 's', self.interface),
            field(MEMBER, 's', self.member),
            field(DESTINATION, 's', self.destination),
        ];
        let signature: String = arguments.iter().map(GVariant::signature).collect();
        if !signature.is_empty() {
            fields.push(field(SIGNATURE, 'g', &signature));
        }
        let mut message = Marshaller { bytes: vec![b'l', METHOD_CALL, 0, VERSION] };
        message.value(&GVariant::u32(length))?;
        message.value(&GVariant::u32(serial))?;
        message.value(&GVariant::Array("(yv)".to_owned(), fields))?;
        message.align(8);
        message.bytes.append(&mut body.bytes);
        Ok(message.bytes)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    Reply,
    Error,
    Signal,
    /// A call to this program, or a kind that the specification does not have yet: both are ignored.
    Other,
}

/// A received message.
#[derive(Debug)]
pub struct Received {
    pub kind: MessageKind,
    /// The serial number of the call that this answers.
    pub reply_to: Option<u32>,
    /// The name of an error.
    pub error: Option<String>,
    /// The name of a signal with its interface, such as `org.freedesktop.DBus.NameLost`.
    pub signal: String,
    signature: String,
    big_endian: bool,
    body: Vec<u8>,
}

/// The length of the message that begins with these bytes.
pub fn length(start: &[u8; START]) -> Result<usize, Invalid> {
    if start[3] != VERSION {
        return Err("the version of the protocol is unknown");
    }
    let mut reader = Unmarshaller::new(start, big_endian(start)?);
    let numbers = reader.values("yyyyuuu")?;
    let number = |index: usize| match numbers[index] {
        GVariant::Integer(_, number) => usize::try_from(number).unwrap_or(usize::MAX),
        _ => usize::MAX,
    };
    let (body, fields) = (number(4), number(6));
    if body > LARGEST || fields > LARGEST {
        return Err("the message is too long");
    }
    Ok((START + fields).next_multiple_of(8) + body)
}

fn big_endian(start: &[u8]) -> Result<bool, Invalid> {
    match start.first() {
        Some(b'l') => Ok(false),
        Some(b'B') => Ok(true),
        _ => Err("the byte order is unknown"),
    }
}

impl Received {
    /// Reads the header of a whole message.
    pub fn parse(bytes: &[u8]) -> Result<Received, Invalid> {
        let big_endian = big_endian(bytes)?;
        let mut reader = Unmarshaller::new(bytes, big_endian);
        let header = reader.values(HEADER)?;
        reader.align(8)?;
        let Some(GVariant::Array(_, fields)) = header.last() else { return Err("the header has no fields") };
        let field = |wanted: i128| {
            fields.iter().find_map(|field| match field {
                GVariant::Tuple(pair) => match pair.as_slice() {
                    [GVariant::Integer(_, code), GVariant::Variant(value)] if *code == wanted => Some(&**value),
                    _ => None,
                },
                _ => None,
            })
        };
        let text = |code: i128, kind: char| match field(code) {
            None => Ok(None),
            Some(GVariant::Text(found, text)) if *found == kind => Ok(Some(text.clone())),
            Some(_) => Err("a field of the header has the wrong type"),
        };
        let reply_to = match field(REPLY_SERIAL) {
            Some(GVariant::Integer('u', serial)) => u32::try_from(*serial).ok(),
            _ => None,
        };
        let name = |code: i128| Ok::<_, Invalid>(text(code, 's')?.unwrap_or_default());
        Ok(Received {
            kind: match bytes[1] {
                2 => MessageKind::Reply,
                3 => MessageKind::Error,
                4 => MessageKind::Signal,
                _ => MessageKind::Other,
            },
            reply_to,
            error: text(ERROR_NAME, 's')?,
            signal: format!("{}.{}", name(INTERFACE)?, name(MEMBER)?),
            signature: text(SIGNATURE, 'g')?.unwrap_or_default(),
            big_endian,
            body: reader.rest().to_vec(),
        })
    }

    /// The arguments.
    pub fn body(&self) -> Result<Vec<GVariant>, Invalid> {
        Unmarshaller::new(&self.body, self.big_endian).values(&self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: Method<'_> = Method { destination: "a.b", path: "/c", interface: "d.e", member: "F" };

    fn all_values() -> Vec<GVariant> {
        vec![
            GVariant::text("x"),
            GVariant::Bool(true),
            GVariant::Integer('y', 255),
            GVariant::Integer('n', -2),
            GVariant::Integer('q', 2),
            GVariant::Integer('i', -3),
            GVariant::u32(3),
            GVariant::Integer('x', i64::MIN.into()),
            GVariant::u64(u64::MAX),
            GVariant::Double(1.5),
            GVariant::Text('o', "/a_1/b".to_owned()),
            GVariant::Text('g', "a(sv)".to_owned()),
            GVariant::Array("s".to_owned(), vec![GVariant::text(""), GVariant::text("é")]),
            GVariant::Array("(sa(sv))".to_owned(), Vec::new()),
            GVariant::Array("{sv}".to_owned(), Vec::new()),
            GVariant::Tuple(vec![GVariant::bytes(b"ab"), GVariant::Variant(Box::new(GVariant::u64(1)))]),
        ]
    }

    /// A call, byte by byte as in the specification.
    #[test]
    fn a_call_in_bytes() {
        let call = PING.call(7, &[GVariant::text("hi"), GVariant::u64(9)]).unwrap();
        let wanted = [
            b"l\x01\0\x01".as_slice(),
            b"\x10\0\0\0\x07\0\0\0",
            b"\x48\0\0\0",
            b"\x01\x01o\0\x02\0\0\0/c\0\0\0\0\0\0",
            b"\x02\x01s\0\x03\0\0\0d.e\0\0\0\0\0",
            b"\x03\x01s\0\x01\0\0\0F\0\0\0\0\0\0\0",
            b"\x06\x01s\0\x03\0\0\0a.b\0\0\0\0\0",
            b"\x08\x01g\0\x02st\0",
            b"\x02\0\0\0hi\0\0\x09\0\0\0\0\0\0\0",
        ]
        .concat();
        assert_eq!(call, wanted);
    }

    #[test]
    fn what_is_sent_can_be_read() {
        let call = PING.call(1, &all_values()).unwrap();
        assert_eq!(length(call.first_chunk().unwrap()), Ok(call.len()));
        let received = Received::parse(&call).unwrap();
        assert_eq!((received.kind, received.signal.as_str()), (MessageKind::Other, "d.e.F"));
        assert_eq!(received.body(), Ok(all_values()));
    }

    /// Dictionaries are read as lists of pairs: signals of systemd have them.
    #[test]
    fn dictionaries() {
        let bytes = b"\x0a\0\0\0\0\0\0\0\x01\0\0\0k\0\x01y\0\x05";
        let pair = vec![GVariant::text("k"), GVariant::Variant(Box::new(GVariant::Integer('y', 5)))];
        let wanted = GVariant::Array("{sv}".to_owned(), vec![GVariant::Tuple(pair)]);
        assert_eq!(Unmarshaller::new(bytes, false).values("a{sv}"), Ok(vec![wanted]));
    }

    /// A reply of a machine with the other byte order.
    #[test]
    fn big_endian() {
        let reply = b"B\x02\0\x01\0\0\0\x07\0\0\0\x01\0\0\0\x0f\x05\x01u\0\0\0\0\x05\x08\x01g\0\x01s\0\0\0\0\0\x02ok\0";
        assert_eq!(length(reply.first_chunk().unwrap()), Ok(reply.len()));
        let received = Received::parse(reply).unwrap();
        assert_eq!((received.kind, received.reply_to), (MessageKind::Reply, Some(5)));
        assert_eq!(received.body(), Ok(vec![GVariant::text("ok")]));
    }

    /// No part of a message and no message with one other byte makes the reader fail.
    #[test]
    fn broken_messages() {
        let call = PING.call(1, &all_values()).unwrap();
        for end in 0..call.len() {
            assert!(Received::parse(&call[..end]).is_err() || Received::parse(&call[..end]).unwrap().body().is_err());
        }
        for at in 0..call.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff, b'a', b'(', b'v'] {
                let mut broken = call.clone();
                broken[at] = byte;
                let _ = broken.first_chunk().map(length);
                let _ = Received::parse(&broken).map(|received| received.body());
            }
        }
    }

    #[test]
    fn values_that_are_refused() {
        let path = |text: &str| GVariant::Text('o', text.to_owned());
        let signature = |text: &str| GVariant::Text('g', text.to_owned());
        for (value, wanted) in [
            (GVariant::text("a\0b"), "a text has a NUL"),
            (path("a"), "the object path is not valid"),
            (path("/a/"), "the object path is not valid"),
            (path("/é"), "the object path is not valid"),
            (signature("{sv}"), "the signature is not valid"),
            (signature("a{(s)v}"), "the signature is not valid"),
            (signature("a{s}"), "the signature is not valid"),
            (signature("a{"), "the signature is not valid"),
            (signature("()"), "the signature is not valid"),
            (signature("(s"), "the signature is not valid"),
            (signature("a"), "the signature is not valid"),
            (signature(&"s".repeat(256)), "the signature is too long"),
            (signature(&"a".repeat(200)), "the signature has too many levels"),
            (GVariant::Array("ss".to_owned(), Vec::new()), "the type of an array's elements is more than one type"),
        ] {
            assert_eq!(PING.call(1, &[value]), Err(wanted));
        }
        assert!(PING.call(1, &[path("/"), path("/a/B_2"), signature("a(sa(sv))aay")]).is_ok());
    }

    #[test]
    fn starts_that_are_refused() {
        for (start, wanted) in [
            (b"x\x02\0\x01\0\0\0\0\x01\0\0\0\0\0\0\0", "the byte order is unknown"),
            (b"l\x02\0\x02\0\0\0\0\x01\0\0\0\0\0\0\0", "the version of the protocol is unknown"),
            (b"l\x02\0\x01\0\0\0\x08\x01\0\0\0\0\0\0\0", "the message is too long"),
            (b"l\x02\0\x01\0\0\0\0\x01\0\0\0\xff\xff\xff\xff", "the message is too long"),
        ] {
            assert_eq!(length(start), Err(wanted));
        }
    }
}
