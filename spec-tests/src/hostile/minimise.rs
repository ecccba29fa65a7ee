//! Minimises the input of a finding: removes parts of the input as long as the subject still has the same
//! fault.

use std::ops::Range;
use std::time::Instant;

use gelf_core::{DatagramReader, wire::Decompressor};

use super::case::{Case, Datagram};
use super::{Asker, Fault, HostileOptions, Oracle};
use crate::brackets::{Scanner, Token};

/// Returns the simplest case that the search finds for the same fault. Also returns the result of gelf-core for
/// this case, and the fault that this case causes.
pub(super) fn minimise(
    case: Case,
    fault: Fault,
    asker: &mut Asker<'_, '_>,
    options: &HostileOptions,
) -> Result<(Case, Oracle, Fault), String> {
    let oracle = Oracle::ask(&case)?;
    let mut search = Search {
        best: (case, oracle, fault),
        asker,
        asks_left: options.minimise_asks,
        deadline: Instant::now() + options.minimise_time,
    };
    // `remove_bytes` removes no ranges of fewer than about `least` bytes. Long ranges are tried before short ones,
    // because each attempt to remove a range takes a request.
    let mut least = 64;
    loop {
        let before = search.size();
        search.simplify()?;
        search.remove_steps()?;
        search.remove_members()?;
        search.remove_bytes(least)?;
        if search.is_over() || (search.size() >= before && least == 1) {
            return Ok(search.best);
        }
        if search.size() >= before {
            least /= 4;
        }
    }
}

struct Search<'m, 'a, 's> {
    best: (Case, Oracle, Fault),
    asker: &'m mut Asker<'a, 's>,
    asks_left: usize,
    deadline: Instant,
}

impl Search<'_, '_, '_> {
    fn is_over(&self) -> bool {
        self.asks_left == 0 || Instant::now() >= self.deadline
    }

    /// Returns the size to minimise: the number of bytes plus the number of datagrams or pieces. Therefore,
    /// the removal of an empty datagram makes a case smaller.
    fn size(&self) -> usize {
        self.best.0.bytes() + self.best.0.parts().len()
    }

    /// Keeps a case as the best case if it causes the same fault. Returns whether the case is kept.
    fn try_case(&mut self, case: Case) -> Result<bool, String> {
        if self.is_over() || case == self.best.0 {
            return Ok(false);
        }
        self.asks_left -= 1;
        let oracle = Oracle::ask(&case)?;
        let key = self.best.2.key();
        let same = self.asker.faults(&oracle)?.into_iter().find(|fault| fault.key() == key);
        let is_kept = same.is_some();
        if let Some(fault) = same {
            self.best = (case, oracle, fault);
        }
        Ok(is_kept)
    }

    /// Tries simpler forms of the case: uncompressed, unchunked, in one piece, at one time, or from one
    /// sender.
    fn simplify(&mut self) -> Result<(), String> {
        match self.best.0.clone() {
            Case::Payload(_) => {}
            Case::Stream(pieces) => {
                self.try_case(Case::Stream(vec![pieces.concat()]))?;
            }
            Case::Datagrams(datagrams) => {
                let plain: Vec<_> = datagrams
                    .iter()
                    .map(|datagram| Datagram { at: 0, from: 'A', bytes: datagram.bytes.clone() })
                    .collect();
                if !self.try_case(Case::Datagrams(plain.clone()))? {
                    let from_one_sender = |datagram: &Datagram| Datagram { from: 'A', ..datagram.clone() };
                    self.try_case(Case::Datagrams(datagrams.iter().map(from_one_sender).collect()))?;
                }
                let mut reader = DatagramReader::<()>::default();
                let now = Instant::now();
                let whole = plain.iter().filter_map(|datagram| {
                    let payload = reader.read(now, (), &datagram.bytes).ok().flatten()?;
                    Some(Datagram::new(payload.to_vec()))
                });
                let whole: Vec<_> = whole.collect();
                self.try_case(Case::Datagrams(whole))?;
                for at in 0..datagrams.len() {
                    self.inflate(at)?;
                }
            }
        }
        Ok(())
    }

    /// Tries the case with one datagram inflated.
    fn inflate(&mut self, at: usize) -> Result<(), String> {
        let mut case = self.best.0.clone();
        let Some(part) = case.part_mut(at) else { return Ok(()) };
        let inflated = Decompressor::default().decompress(part).ok().map(<[u8]>::to_vec);
        // A datagram that inflates to more than 4 KiB, such as a decompression bomb, stays compressed.
        if let Some(inflated) = inflated.filter(|inflated| inflated.len() <= 4096) {
            *part = inflated;
            self.try_case(case)?;
        }
        Ok(())
    }

    /// Removes datagrams or pieces: at first in ranges of half of them, in the end one by one.
    fn remove_steps(&mut self) -> Result<(), String> {
        let steps = |case: &Case| if matches!(case, Case::Payload(_)) { 0 } else { case.parts().len() };
        self.halve(steps(&self.best.0) / 2, 1, steps, |case, range| match case {
            Case::Payload(_) => {}
            Case::Datagrams(datagrams) => drop(datagrams.drain(range)),
            Case::Stream(pieces) => drop(pieces.drain(range)),
        })
    }

    /// Tries to remove each range of length `width`, then each range of half that length, and so on while the
    /// length is at least `least`. `len` is the number of removable units in a case.
    fn halve(
        &mut self,
        mut width: usize,
        least: usize,
        len: impl Fn(&Case) -> usize,
        remove: impl Fn(&mut Case, Range<usize>),
    ) -> Result<(), String> {
        while width >= least {
            let mut at = 0;
            while at < len(&self.best.0) {
                let mut case = self.best.0.clone();
                remove(&mut case, at..(at + width).min(len(&self.best.0)));
                if case.parts().is_empty() || !self.try_case(case)? {
                    at += width;
                }
                if self.is_over() {
                    return Ok(());
                }
            }
            width /= 2;
        }
        Ok(())
    }

    /// Removes members of objects and elements of arrays, each with one comma if it has one.
    fn remove_members(&mut self) -> Result<(), String> {
        for part in 0..self.best.0.parts().len() {
            // Members are removed from last to first. A removal does not move the start of any earlier member,
            // but it can move the end of one that encloses or adjoins the removed member. Therefore the ranges
            // are computed again after each removal.
            let mut before = usize::MAX;
            loop {
                let mut case = self.best.0.clone();
                let Some(bytes) = case.part_mut(part) else { break };
                let Some(range) = last_member(bytes, before) else { break };
                before = range.start;
                bytes.drain(range);
                self.try_case(case)?;
                if self.is_over() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Removes bytes of each part: at first in ranges of half of the part, in the end in ranges of about `least` bytes.
    fn remove_bytes(&mut self, least: usize) -> Result<(), String> {
        for part in 0..self.best.0.parts().len() {
            let len = |case: &Case| case.parts().get(part).map_or(0, |bytes| bytes.len());
            self.halve(len(&self.best.0).div_ceil(2), least, len, |case, range| {
                if let Some(bytes) = case.part_mut(part) {
                    bytes.drain(range);
                }
            })?;
        }
        Ok(())
    }
}

/// Returns the range of the last object member or array element that starts before an offset.
fn last_member(bytes: &[u8], before: usize) -> Option<Range<usize>> {
    members(bytes).into_iter().rev().find(|range| range.start < before)
}

/// Returns the ranges of object members and array elements, each with the comma before or after it. The only
/// member of an object or array has no comma. Ranges are in the order of their start.
fn members(bytes: &[u8]) -> Vec<Range<usize>> {
    let (mut ranges, mut starts) = (Vec::new(), Vec::new());
    let mut scanner = Scanner::default();
    for (at, byte) in bytes.iter().enumerate() {
        match scanner.token(*byte) {
            Some(Token::Open) => starts.push((at + 1, true)),
            Some(Token::Comma) => {
                if let Some((start, is_first)) = starts.last_mut() {
                    // The range of a first member includes the comma after the member, if there is one. Any
                    // other range includes the comma before its member.
                    ranges.push(if *is_first { *start..at + 1 } else { *start..at });
                    (*start, *is_first) = (at, false);
                }
            }
            Some(Token::Close) => {
                if let Some((start, _)) = starts.pop() {
                    ranges.push(start..at);
                }
            }
            None => {}
        }
    }
    ranges.retain(|range| !range.is_empty());
    ranges.sort_by_key(|range| range.start);
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_with_their_commas() {
        let json = br#"{"a":1,"b":",\"}","c":[2,3]}"#;
        let found: Vec<&str> =
            members(json).into_iter().map(|range| std::str::from_utf8(&json[range]).unwrap()).collect();
        assert_eq!(found, [r#""a":1,"#, r#","b":",\"}""#, r#","c":[2,3]"#, "2,", ",3"]);
        assert_eq!(members(b"no JSON"), []);
        assert_eq!(members(b"}]"), []);
    }

    #[test]
    fn members_are_removed_from_last_to_first() {
        let mut json = br#"{"a":1,"b":[2,3]}"#.to_vec();
        let (mut before, mut removed) = (usize::MAX, Vec::new());
        while let Some(range) = last_member(&json, before) {
            before = range.start;
            removed.push(String::from_utf8(json.drain(range).collect()).unwrap());
        }
        assert_eq!(removed, [",3", "2", r#","b":[]"#, r#""a":1"#]);
        assert_eq!(json, b"{}");
    }
}
