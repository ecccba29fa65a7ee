//! Linked lists of the slots that have a message: one list of all these slots, by age, and one list for each
//! source. Each of these slots is in two lists, and is removed from both in constant time, without allocating.

/// The kind of a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// The slots of all sources, the oldest first.
    Age,
    /// The slots of one source, the oldest first.
    Source,
}

/// The neighbours of a slot in its list of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links {
    age: Link,
    source: Link,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    before: Option<u32>,
    after: Option<u32>,
}

impl Links {
    fn of(&self, kind: Kind) -> Link {
        match kind {
            Kind::Age => self.age,
            Kind::Source => self.source,
        }
    }

    /// Returns the next slot in the list of this kind.
    pub(super) fn after(&self, kind: Kind) -> Option<u32> {
        self.of(kind).after
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Link {
        match kind {
            Kind::Age => &mut self.age,
            Kind::Source => &mut self.source,
        }
    }
}

/// A store of slots with links.
pub(super) trait Linked {
    /// Returns the links of a slot, which must exist.
    fn links(&mut self, slot: u32) -> &mut Links;
}

/// A list of slots.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct List {
    first: Option<u32>,
    last: Option<u32>,
    len: usize,
}

impl List {
    pub(super) fn first(&self) -> Option<u32> {
        self.first
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends a slot, which must not be in a list of this kind.
    pub(super) fn push(&mut self, kind: Kind, slot: u32, slots: &mut impl Linked) {
        *slots.links(slot).of_mut(kind) = Link { before: self.last, after: None };
        match self.last {
            Some(last) => slots.links(last).of_mut(kind).after = Some(slot),
            None => self.first = Some(slot),
        }
        self.last = Some(slot);
        self.len += 1;
    }

    /// Removes a slot, which must be in this list.
    pub(super) fn remove(&mut self, kind: Kind, slot: u32, slots: &mut impl Linked) {
        let Link { before, after } = slots.links(slot).of(kind);
        match before {
            Some(before) => slots.links(before).of_mut(kind).after = after,
            None => self.first = after,
        }
        match after {
            Some(after) => slots.links(after).of_mut(kind).before = before,
            None => self.last = before,
        }
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Linked for Vec<Links> {
        fn links(&mut self, slot: u32) -> &mut Links {
            &mut self[slot as usize]
        }
    }

    fn content(list: &List, kind: Kind, slots: &[Links]) -> Vec<u32> {
        std::iter::successors(list.first(), |slot| slots[*slot as usize].after(kind)).collect()
    }

    proptest! {
        #[test]
        fn lists_of_all_kinds_keep_their_order(steps in prop::collection::vec((0u32..20, 0usize..2), 0..200)) {
            let kinds = [Kind::Age, Kind::Source];
            let mut slots = vec![Links::default(); 20];
            let mut lists = [List::default(); 2];
            let mut models: [Vec<u32>; 2] = Default::default();
            for (slot, kind) in steps {
                match models[kind].iter().position(|known| *known == slot) {
                    Some(at) => {
                        models[kind].remove(at);
                        lists[kind].remove(kinds[kind], slot, &mut slots);
                    }
                    None => {
                        models[kind].push(slot);
                        lists[kind].push(kinds[kind], slot, &mut slots);
                    }
                }
                for kind in 0..2 {
                    prop_assert_eq!(&content(&lists[kind], kinds[kind], &slots), &models[kind]);
                    prop_assert_eq!(lists[kind].len(), models[kind].len());
                    prop_assert_eq!(lists[kind].last, models[kind].last().copied());
                }
            }
        }
    }
}
