//! A map that searches its first entries one by one and hashes all further entries.
//!
//! Usually few messages are pending. A search finds one of 16 entries after about eight comparisons on average,
//! which cost less than hashing a key. A flood of incomplete messages fills the hash map. The hash map uses the
//! hasher of the standard library, with a random seed that other processes cannot know.

use std::collections::HashMap;
use std::hash::Hash;

/// The number of entries that are searched one by one.
const FEW: usize = 16;

#[derive(Debug)]
pub(super) struct Table<K, V> {
    /// Up to [`FEW`] entries, in no order.
    few: Vec<(K, V)>,
    /// All other entries. An entry is never moved between `few` and `many`.
    many: HashMap<K, V>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { few: Vec::with_capacity(FEW), many: HashMap::new() }
    }
}

impl<K: Eq + Hash, V> Table<K, V> {
    pub(super) fn len(&self) -> usize {
        self.few.len() + self.many.len()
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        match self.few.iter().find(|(known, _)| known == key) {
            Some((_, value)) => Some(value),
            None if self.many.is_empty() => None,
            None => self.many.get(key),
        }
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self.few.iter_mut().find(|(known, _)| known == key) {
            Some((_, value)) => Some(value),
            None if self.many.is_empty() => None,
            None => self.many.get_mut(key),
        }
    }

    /// Adds an entry. The table must not have an entry with this key.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.few.len() < FEW {
            self.few.push((key, value));
        } else {
            self.many.insert(key, value);
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        match self.few.iter().position(|(known, _)| known == key) {
            Some(at) => {
                self.few.swap_remove(at);
            }
            None => {
                self.many.remove(key);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.few.iter().map(|(key, value)| (key, value)).chain(&self.many)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn insert_get_and_remove_agree_with_a_hash_map(
            operations in prop::collection::vec((0u8..40, 0u8..3), 0..400),
        ) {
            let mut table = Table::default();
            let mut model = HashMap::new();
            for (at, (key, operation)) in operations.into_iter().enumerate() {
                match operation {
                    0 => {
                        table.remove(&key);
                        model.remove(&key);
                    }
                    _ if model.contains_key(&key) => {
                        *table.get_mut(&key).unwrap() = at;
                        model.insert(key, at);
                    }
                    _ => {
                        table.insert(key, at);
                        model.insert(key, at);
                    }
                }
                prop_assert_eq!(table.len(), model.len());
                for key in 0..40 {
                    prop_assert_eq!(table.get(&key), model.get(&key));
                }
                prop_assert_eq!(table.iter().count(), model.len());
            }
        }
    }
}
