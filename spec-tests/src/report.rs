//! Reports of results, for people and for programs.

mod board;
mod html;
mod json;
mod junit;
mod terminal;

pub use board::markdown;
pub use html::{html, is_current};
pub use json::json;
pub use junit::junit;
pub use terminal::{Style, explain, summary};
