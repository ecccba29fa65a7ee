//! Defines the parts of a JSON value that a [`MemberFilter`](super::members::MemberFilter) keeps, and their
//! limits.

/// The number of bytes that each item counts towards [`Items::total`], in addition to its text.
pub(super) const ITEM_COST: usize = 64;
/// The maximum length of a member's name in [`Keep::Members`], with the comma and the opening quote in front of
/// the name.
pub(super) const NAME_MAX: usize = 64;
/// The maximum length of a value whose type is not the expected type. This length is enough to keep `null`.
pub(super) const OTHER_TYPE_MAX: usize = 8;

/// The part of a JSON value to keep. Each length is the length of the JSON text in bytes.
#[derive(Debug)]
pub(super) enum Keep {
    /// The value, if it has at most this length, not counting the closing quote of a string. A longer string is
    /// cut, and any other longer value is left out.
    Value(usize),
    /// The members of an object or the elements of an array, as far as they fit into the limits.
    Items(Items),
    /// These members of an object.
    Members(&'static [(&'static str, Self)]),
}

/// The limits of an object or array whose items are kept. An item that does not fit is left out. Later items
/// are kept if they fit.
#[derive(Debug)]
pub(super) struct Items {
    /// The maximum length of an item, name included. A longer string in an array is cut.
    pub(super) each: usize,
    /// The maximum sum of the lengths of all items. Each item counts [`ITEM_COST`] bytes more than its
    /// length.
    pub(super) total: usize,
    /// The room, in addition to `total`, that only items with one of the `prefixes` can take. Other items
    /// cannot take it, even if they come first.
    pub(super) reserved: usize,
    /// An item whose text or name starts with one of these prefixes can take the reserved room. The comparison
    /// ignores the case of ASCII letters. A prefix that ends with `"` matches only a whole text or name.
    pub(super) prefixes: &'static [&'static str],
}

impl Keep {
    /// Returns the maximum length of the excerpt, in bytes.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) const fn max_len(&self) -> usize {
        match self {
            // The closing quote of a string does not count towards the limit.
            Self::Value(max) if *max > OTHER_TYPE_MAX => *max + 1,
            Self::Value(_) => OTHER_TYPE_MAX + 1,
            Self::Items(items) => items.total + items.reserved + 3,
            Self::Members(members) => {
                let (mut sum, mut rest) = (2 + NAME_MAX, *members);
                while let [(name, keep), tail @ ..] = rest {
                    sum += name.len() + 4 + keep.max_len();
                    rest = tail;
                }
                sum
            }
        }
    }
}
