//! Finds the meaning of the members of a container's lines, and remembers it for each path.

use std::borrow::Cow;

use gelf_core::{FieldName, Message};

use super::roles::{Role, role};
use crate::gelf::names::is_reserved;

/// The maximum number of paths that are remembered for a container. The meaning of a path that is not
/// remembered is found anew for each line.
const MAX_KNOWN: usize = 256;
/// The maximum length of a path that is remembered, in bytes.
const MAX_PATH_BYTES: usize = 256;
/// The maximum length, in bytes, of the name of a field, without additions such as `line_`. It is also the
/// maximum length of the id of a trace or span.
pub(super) const MAX_NAME_BYTES: usize = 128;
/// Graylog's name for the host of a message. A field of this name would replace the host.
const GRAYLOG_HOST: &str = "source";

/// The meaning of the members of lines, by their paths.
///
/// Most lines of a container have the same members in the same order. Therefore, a lookup first tries the
/// member that follows the member of the last lookup.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownMembers {
    members: Vec<KnownMember>,
    /// The index that follows the index of the last lookup.
    next: usize,
    /// The last member that was looked up and could not be remembered.
    other: Option<KnownMember>,
}

/// The meaning of a member.
#[derive(Clone, Debug)]
pub(super) struct KnownMember {
    path: Box<str>,
    pub(super) role: Option<Role>,
    /// The name of the field, unless the name would be too long.
    name: Option<FieldName<'static>>,
    /// The index of the field's type in the list of the types of all fields.
    pub(super) type_index: usize,
}

impl KnownMembers {
    /// Creates an empty list.
    pub(super) const fn new() -> Self {
        Self { members: Vec::new(), next: 0, other: None }
    }

    /// Prepares for the members of the next line.
    pub(super) const fn begin(&mut self) {
        self.next = 0;
    }

    /// Returns the meaning of the member at a path. `message` is the message of the line.
    pub(super) fn get(&mut self, path: &str, message: &Message<'_>) -> &mut KnownMember {
        let is_at = |at: &usize| self.members.get(*at).is_some_and(|known| *known.path == *path);
        // A member that becomes a field is looked up twice, so the member of the last lookup is tried, too.
        let tried = [self.next, self.next.wrapping_sub(1)].into_iter().find(is_at);
        let found = tried.or_else(|| (0..self.members.len()).find(is_at));
        let at = found.unwrap_or(self.members.len());
        self.next = at + 1;
        if found.is_none() && at < MAX_KNOWN && path.len() <= MAX_PATH_BYTES {
            self.members.push(KnownMember { path: path.into(), ..KnownMember::of(path, message) });
        }
        let Self { members, other, .. } = self;
        members.get_mut(at).unwrap_or_else(|| other.insert(KnownMember::of(path, message)))
    }
}

impl KnownMember {
    fn of(path: &str, message: &Message<'_>) -> Self {
        Self { path: path.into(), role: role(path), name: field_name(path, message), type_index: usize::MAX }
    }

    /// Returns the name of the field of a member at this path, or `None` if the name would be too long.
    pub(super) fn field_name<'t>(&self, path: Cow<'t, str>) -> Option<FieldName<'t>> {
        let name = self.name.as_ref()?;
        match path {
            // The returned name borrows the path, so no memory is allocated.
            Cow::Borrowed(path) if name.as_str() == path => Some(FieldName::sanitize(path)),
            _ => Some(name.clone()),
        }
    }
}

/// Returns the name of the field of a member. A reserved name, or a name that the message already uses, gets
/// the prefix `line_`. Underscores at the start of the member's path are removed, since Elasticsearch refuses
/// messages with a member such as `_id`. The characters `@`, `.`, `-` and `/` at the start are removed, too.
fn field_name(path: &str, message: &Message<'_>) -> Option<FieldName<'static>> {
    let name = path.trim_start_matches(['_', '@', '.', '-', '/']);
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let name = FieldName::sanitize(name.replace('.', "_"));
    match is_reserved(name.as_str()) || name == GRAYLOG_HOST || message.field(name.as_str()).is_some() {
        true => Some(FieldName::sanitize(format!("line_{name}"))),
        false => Some(name),
    }
}
