//! Defines the error that ends the router.

/// An error that ends the router.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    /// The reason, on one line.
    pub(crate) reason: String,
}

impl Failure {
    /// Creates an error of the command line or environment, with exit status 2.
    pub(crate) fn usage(reason: impl ToString) -> Self {
        Self { status: 2, reason: reason.to_string() }
    }

    /// Creates any other error, with exit status 1.
    pub(crate) fn refused(reason: impl ToString) -> Self {
        Self { status: 1, reason: reason.to_string() }
    }
}
