//! Slots in lists: of all by age, of one source. A slot is in several lists at once, and leaves each
//! in constant time; nothing is allocated for it.

/// What a slot's links are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// All, the oldest first.
    Age = 0,
    /// Those of one source, the oldest first.
    Source = 1,
}

/// A slot's neighbours in its list of each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links([Link; 2]);

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    before: Option<u32>,
    after: Option<u32>,
}

impl Links {
    fn of(&self, kind: Kind) -> Link {
        self.0.get(kind as usize).copied().unwrap_or_default()
    }

    /// Which slot comes after this one.
    pub(super) fn after(&self, kind: Kind) -> Option<u32> {
        self.of(kind).after
    }

    fn of_mut(&mut self, kind: Kind) -> Option<&mut Link> {
        self.0.get_mut(kind as usize)
    }
}

/// What holds the links.
pub(super) trait Linked {
    fn links(&mut self, slot: u32) -> Option<&mut Links>;
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

    /// Puts a slot at the end. It must not be in a list of this kind.
    pub(super) fn push(&mut self, kind: Kind, slot: u32, slots: &mut impl Linked) {
        if let Some(link) = slots.links(slot).and_then(|links| links.of_mut(kind)) {
            *link = Link { before: self.last, after: None };
        }
        match self.last.and_then(|last| slots.links(last)).and_then(|links| links.of_mut(kind)) {
            Some(link) => link.after = Some(slot),
            None => self.first = Some(slot),
        }
        self.last = Some(slot);
        self.len += 1;
    }

    /// Takes a slot out. It must be in this list.
    pub(super) fn remove(&mut self, kind: Kind, slot: u32, slots: &mut impl Linked) {
        let Some(Link { before, after }) = slots.links(slot).map(|links| links.of(kind)) else { return };
        match before.and_then(|before| slots.links(before)).and_then(|links| links.of_mut(kind)) {
            Some(link) => link.after = after,
            None => self.first = after,
        }
        match after.and_then(|after| slots.links(after)).and_then(|links| links.of_mut(kind)) {
            Some(link) => link.before = before,
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
        fn links(&mut self, slot: u32) -> Option<&mut Links> {
            self.get_mut(slot as usize)
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
