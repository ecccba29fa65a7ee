//! Results as one page that needs nothing else.

use crate::run::Results;
use crate::vector::Topic;

/// The page with these results.
pub fn html(topics: &[Topic], results: &[Results]) -> String {
    // `</script>` within a string would end the element.
    let data = super::json(topics, results).to_string().replace("</", "<\\/");
    include_str!("page.html").replacen("__RESULTS__", &data, 1)
}
