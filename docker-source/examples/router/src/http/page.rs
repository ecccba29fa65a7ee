//! Answers `GET /` with the page, which shows the status in a browser.
//!
//! The page is one file, and loads nothing from other servers. It reads `/status` at an interval and `/logs`
//! on demand. The header `Content-Security-Policy` of the answer restricts the browser: it uses only the
//! script and the style that have the answer's nonce, and connects only to this API.

use std::hash::{BuildHasher, RandomState};

use hyper::StatusCode;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY};

use super::answer::{Answer, refusal, text};

const PAGE: &str = include_str!("page.html");
const HTML: &str = "text/html; charset=utf-8";
/// The place of the nonce in [`PAGE`].
const NONCE: &str = "NONCE";
/// The header that keeps pages of other sites from loading this page as a resource.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Returns the page.
pub(super) fn answer() -> Answer {
    let nonce = nonce();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    let Ok(policy) = HeaderValue::from_str(&policy) else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "the policy of the page is not a header");
    };
    let mut answer = text(StatusCode::OK, HTML, PAGE.replace(NONCE, &nonce));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

/// Returns a text that nobody can guess: two hashes with random keys.
fn nonce() -> String {
    let hash = || RandomState::new().hash_one(());
    format!("{:016x}{:016x}", hash(), hash())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_one_script_and_one_style_each_with_the_nonce_and_nothing_from_elsewhere() {
        for tag in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{tag}")).count(), 1, "{tag}");
            assert!(PAGE.contains(&format!("<{tag} nonce=\"{NONCE}\">")), "{tag}");
        }
        assert_eq!(PAGE.matches(NONCE).count(), 2);
        for forbidden in
            ["http:", "https:", "innerHTML", "outerHTML", "document.write", " style=\"", " onclick=\""]
        {
            assert!(!PAGE.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn each_answer_has_a_nonce_of_its_own_in_the_policy() {
        let policy = |answer: &Answer| answer.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        let (one, other) = (policy(&answer()), policy(&answer()));
        assert_ne!(one, other);
        assert!(one.starts_with("default-src 'none'; ") && !one.contains("unsafe"), "{one}");
    }
}
