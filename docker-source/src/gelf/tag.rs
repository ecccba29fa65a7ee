//! Templates of the field `_tag`, as in the option `tag` of Docker's log drivers.

use super::invalid::InvalidFormat;
use crate::container::Container;

/// A template: plain text, and parts of a container's metadata in braces, as in `{{.ImageName}}/{{.Name}}`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TagTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    Metadata(Metadata),
}

/// The metadata that Docker documents for tags.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Metadata {
    DaemonName,
    FullId,
    Id,
    ImageFullId,
    ImageId,
    ImageName,
    Name,
}

impl Metadata {
    const ALL: [(&str, Self); 7] = [
        (".DaemonName", Self::DaemonName),
        (".FullID", Self::FullId),
        (".ID", Self::Id),
        (".ImageFullID", Self::ImageFullId),
        (".ImageID", Self::ImageId),
        (".ImageName", Self::ImageName),
        (".Name", Self::Name),
    ];

    fn of(self, container: &Container) -> &str {
        match self {
            Self::DaemonName => "docker",
            Self::FullId => container.id(),
            Self::Id => container.short_id(),
            Self::ImageFullId => container.image_id(),
            // As in Docker, the 12 characters include the algorithm, as in `sha256:4f0c9`.
            Self::ImageId => container.image_id().get(..12).unwrap_or_else(|| container.image_id()),
            Self::ImageName => container.image(),
            Self::Name => container.name(),
        }
    }
}

impl TagTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// Returns [`InvalidFormat::Tag`] if the text in braces is not one of the names in [`Metadata::ALL`], or
    /// if the braces are not closed. Docker would execute the text in braces as a Go template.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidFormat> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((plain, behind)) = rest.split_once("{{") {
            let at = text.len() - behind.len() - 2;
            let (inside, tail) = behind.split_once("}}").ok_or(InvalidFormat::Tag { at })?;
            let named = Metadata::ALL.into_iter().find(|(name, _)| *name == inside.trim());
            let (_, metadata) = named.ok_or(InvalidFormat::Tag { at })?;
            if !plain.is_empty() {
                parts.push(Part::Text(plain.to_owned()));
            }
            parts.push(Part::Metadata(metadata));
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// Returns the tag of a container.
    pub(super) fn tag(&self, container: &Container) -> String {
        let text = |part: &'_ Part| match part {
            Part::Text(text) => text.clone(),
            Part::Metadata(metadata) => metadata.of(container).to_owned(),
        };
        self.parts.iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_dockers_templates_has_dockers_value() {
        let id = "9cd5aab0f0a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef0123456";
        let container =
            Container::builder("web-1").id(id).image("nginx:1.27").image_id("sha256:4f0c9dbb2b7e").build();
        for (template, tag) in [
            ("{{.ID}}", &id[..12]),
            ("{{.FullID}}", id),
            ("{{.Name}}", "web-1"),
            ("{{.ImageName}}/{{ .Name }}", "nginx:1.27/web-1"),
            ("a {{.ImageID}} b", "a sha256:4f0c9 b"),
            ("{{.ImageFullID}}", "sha256:4f0c9dbb2b7e"),
            ("{{.DaemonName}}", "docker"),
            ("plain }} {", "plain }} {"),
        ] {
            assert_eq!(TagTemplate::parse(template).unwrap().tag(&container), tag, "{template}");
        }
        let removed = Container::builder("job").build();
        assert_eq!(TagTemplate::parse("{{.ImageID}}").unwrap().tag(&removed), "");
    }

    #[test]
    fn other_templates_of_go_are_refused_with_their_position() {
        for (template, at) in [
            ("{{.ID", 0),
            ("a{{.Id}}", 1),
            ("{{.Name}}{{upper .Name}}", 9),
            ("{{}}", 0),
            ("{{.ExtraAttributes nil}}", 0),
        ] {
            assert_eq!(TagTemplate::parse(template), Err(InvalidFormat::Tag { at }), "{template}");
        }
    }
}
