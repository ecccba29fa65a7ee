//! Reports of results, for people and for programs.

mod badge;
mod board;
mod html;
mod json;
mod junit;
mod provenance;
mod sender;
mod terminal;

pub use badge::{badge, badge_file};
pub use board::markdown;
pub use html::{html, is_current};
pub use json::json;
pub use junit::junit;
pub use provenance::Provenance;
pub(crate) use sender::merged;
pub use sender::{sender_json, sender_text};
pub use terminal::{Style, explain, summary};
