//! Defines the options of the HTTP API.

use std::net::SocketAddr;

/// The place where the address of the HTTP API is set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum AddressFrom {
    /// The option `--http`.
    CommandLine,
    /// The key `http` of the configuration file.
    File,
    /// The variables of Logspout, which have an effect only if no other place sets the address.
    Variables,
}

impl AddressFrom {
    /// Returns the setting with which the API listens at this port of all IPv4 addresses.
    pub(crate) fn open_setting(self, port: u16) -> String {
        match self {
            Self::CommandLine => format!("--http=0.0.0.0:{port}"),
            Self::File => format!("http = \"0.0.0.0:{port}\" in the configuration file"),
            Self::Variables => format!("HTTP_BIND_ADDRESS=0.0.0.0 and PORT={port}"),
        }
    }
}

/// The options of the HTTP API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct HttpOptions {
    pub(crate) address: SocketAddr,
    pub(crate) address_from: AddressFrom,
    /// The host names by which clients may call the API, besides addresses and names without a dot.
    pub(crate) names: Vec<String>,
}

impl HttpOptions {
    /// Returns the options, or `None` if there is no address. `address` comes with the place that sets it.
    ///
    /// # Errors
    /// Returns a text of one line if there are names without an address, or if a name is not a host name.
    pub(crate) fn new(
        address: Option<(SocketAddr, AddressFrom)>,
        names: Vec<String>,
    ) -> Result<Option<Self>, String> {
        let is_name = |name: &str| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
            !name.is_empty() && name.bytes().all(is_plain)
        };
        if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
            return Err(format!("--http-names: {wrong:?} is not a host name; write it without a port"));
        }
        match address {
            None if !names.is_empty() => Err("--http-names needs an address of the API: --http".to_owned()),
            address => Ok(address.map(|(address, address_from)| Self { address, address_from, names })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_an_address_and_have_no_port() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let address = SocketAddr::from(([127, 0, 0, 1], 8000));
        let set = Some((address, AddressFrom::CommandLine));
        let options = HttpOptions::new(set, names(&["a.example"])).unwrap().unwrap();
        assert_eq!((options.address, options.names), (address, names(&["a.example"])));
        assert_eq!(HttpOptions::new(None, Vec::new()), Ok(None));
        assert!(HttpOptions::new(None, names(&["a.example"])).unwrap_err().contains("needs an address"));
        for wrong in ["", "a.example:80", "http://a.example", "*"] {
            let mistake = HttpOptions::new(set, names(&[wrong])).unwrap_err();
            assert!(mistake.starts_with("--http-names: "), "{mistake}");
        }
    }
}
