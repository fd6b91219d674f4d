//! What a DNS message asks, and what an answer names. (RFC 1035)
//!
//! Questions are read here and not by a library's parser: gvproxy has another one, and a message that the two read differently would be
//! a way around the policy. So nothing is understood but the one form that every parser reads alike: one question, of plain
//! labels, not compressed, and behind it at most an EDNS record (RFC 6891).

use std::net::Ipv4Addr;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet};

use crate::policy::{MAX_NAME, is_plain};

const HEADER: usize = 12;
/// Which bits of the flags a question of a resolver's can have: recursion desired, authentic data, checking disabled.
const QUESTION_FLAGS: u16 = 0b0000_0001_0011_0000;
const RESPONSE: u16 = 0b1000_0000_0000_0000;
const ERROR: u16 = 0b1111;
const IN: u16 = 1;
const A: u16 = 1;
const OPT: u16 = 41;
/// How many aliases of a name are followed.
const MAX_ALIASES: usize = 16;

/// A message's only question.
#[derive(Debug)]
pub(super) struct Question<'a> {
    name: [u8; MAX_NAME],
    length: usize,
    kind: u16,
    flags: u16,
    /// How many records follow: answers, authorities, additional ones.
    counts: [u16; 3],
    rest: &'a [u8],
}

fn number(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*number), rest))
}

impl<'a> Question<'a> {
    /// The question of a message that has one, for a plain name of the internet.
    pub(super) fn of(message: &'a [u8]) -> Option<Self> {
        let (header, mut rest) = message.split_first_chunk::<HEADER>()?;
        let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        if field(4) != 1 {
            return None;
        }
        let (mut name, mut length) = ([0; MAX_NAME], 0);
        loop {
            let (&size, behind) = rest.split_first()?;
            if size == 0 {
                rest = behind;
                break;
            }
            // 64 and more are pointers.
            let (label, behind) = behind.split_at_checked(usize::from(size)).filter(|_| size < 64)?;
            if !label.iter().copied().all(is_plain) {
                return None;
            }
            if length > 0 {
                *name.get_mut(length)? = b'.';
                length += 1;
            }
            name.get_mut(length..length + label.len())?.copy_from_slice(label);
            length += label.len();
            rest = behind;
        }
        let (kind, rest) = number(rest)?;
        let (class, rest) = number(rest)?;
        let counts = [field(6), field(8), field(10)];
        (class == IN).then_some(Self { name, length, kind, flags: field(2), counts, rest })
    }

    /// The name, without a dot at its end.
    pub(super) fn name(&self) -> &[u8] {
        &self.name[..self.length]
    }

    /// Whether the message is a question and nothing more.
    pub(super) fn is_only(&self) -> bool {
        let edns = |rest: &[u8]| {
            // The root's name, a type, a size, flags, and the length of what follows.
            let (head, data) = rest.split_first_chunk::<11>()?;
            let plain = head[0] == 0 && head[1..3] == OPT.to_be_bytes();
            Some(plain && usize::from(u16::from_be_bytes([head[9], head[10]])) == data.len())
        };
        let behind = match self.counts {
            [0, 0, 0] => self.rest.is_empty(),
            [0, 0, 1] => edns(self.rest) == Some(true),
            _ => false,
        };
        self.flags & !QUESTION_FLAGS == 0 && behind
    }

    /// How many records follow it.
    pub(super) fn records(&self) -> u32 {
        self.counts.map(u32::from).iter().sum()
    }

    /// Whether the message may name addresses: a successful answer to a question for them.
    pub(super) fn names_addresses(&self) -> bool {
        self.kind == A && self.flags & RESPONSE != 0 && self.flags & ERROR == 0
    }
}

/// The addresses that an answer names for its question, by aliases too, each with the seconds for which it holds. [`None`] for what
/// cannot be read.
pub(super) fn addresses(message: &[u8]) -> Option<Vec<(Ipv4Addr, u32)>> {
    let packet = Packet::parse(message).ok()?;
    let mut names: Vec<&Name<'_>> = vec![&packet.questions.first()?.qname];
    let answers = || packet.answers.iter().filter(|record| record.class == CLASS::IN);
    while let Some(last) = names.last().filter(|_| names.len() <= MAX_ALIASES) {
        let alias = answers().find_map(|record| match &record.rdata {
            RData::CNAME(alias) if record.name == **last && !names.contains(&&alias.0) => Some(&alias.0),
            _ => None,
        });
        match alias {
            Some(alias) => names.push(alias),
            None => break,
        }
    }
    let addresses = answers().filter(|record| names.contains(&&record.name)).filter_map(|record| match &record.rdata {
        RData::A(a) => Some((Ipv4Addr::from(a.address), record.ttl)),
        _ => None,
    });
    Some(addresses.collect())
}
