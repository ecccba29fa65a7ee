//! GELF over HTTP/1.1.
