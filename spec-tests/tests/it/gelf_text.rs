//! Tests that `docs/gelf.md` agrees with the rules, the vectors and the score board.
//!
//! The parts of the text between `<!-- generated: NAME -->` and `<!-- end -->` are computed here. With the
//! environment variable `UPDATE=1`, the test writes them to the file.

mod tables;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use gelf_spec_tests::{Rule, Topic, Vector, decisions, embedded, embedded_http, rules, rules_of};

/// Words of BCP 14 that express a requirement, a recommendation or a permission.
const KEY_WORDS: [&str; 6] = ["MUST", "SHOULD", "MAY", "REQUIRED", "RECOMMENDED", "OPTIONAL"];

/// The heading of the first section with requirements. The introduction explains the key words.
const FIRST_SECTION: &str = "\n## 2. ";

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs").join("gelf.md")
}

/// Returns the file with Unix line ends.
fn file() -> String {
    std::fs::read_to_string(path()).unwrap().replace("\r\n", "\n")
}

/// All topics in the order of their names, HTTP included. They are loaded once, because loading takes time:
/// the recipes of some vectors compress data.
static TOPICS: LazyLock<Vec<Topic>> = LazyLock::new(|| {
    let mut topics = [embedded().unwrap(), embedded_http().unwrap()].concat();
    topics.sort_by(|a, b| a.topic.cmp(&b.topic));
    topics
});

/// Returns whether an id is the pattern, or begins with the text before the trailing `*` of the pattern.
fn matches(pattern: &str, id: &str) -> bool {
    pattern.strip_suffix('*').map_or(id == pattern, |beginning| id.starts_with(beginning))
}

/// Calls `part` with the name and the content of each generated part of a text. Returns the text with the
/// results of `part` in place of the contents.
fn with_parts(text: &str, mut part: impl FnMut(&str, &str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, from_name)) = rest.split_once("<!-- generated: ") {
        let (name, from_content) = from_name.split_once(" -->\n").expect("the end of a marker");
        let (content, after) = from_content.split_once("<!-- end -->").expect("the end of a generated part");
        let content = part(name, content);
        out += &format!("{before}<!-- generated: {name} -->\n{content}<!-- end -->");
        rest = after;
    }
    out + rest
}

/// Returns the text without generated parts.
fn prose() -> String {
    with_parts(&file(), |_, _| String::new())
}

/// Returns the names of the rules that a text cites, such as `R15` for `[R15]`.
fn cited_rules(text: &str) -> Vec<&str> {
    let citations = text.split('[').skip(1).filter_map(|rest| Some(rest.split_once(']')?.0));
    citations.filter(|name| is_rule(name)).collect()
}

fn is_rule(name: &str) -> bool {
    name.strip_prefix('R').is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Returns the ids and patterns of vectors in a text, such as `C02-3` or `L08*`.
fn cited_vectors(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '*' | '_' | '+');
    let words = text.split(|c| !is_part(c)).map(|word| word.trim_matches('-'));
    words.filter(|word| is_vector(word)).collect()
}

/// Returns whether a word is the id or the pattern of a vector: an upper-case letter other than `R`, two
/// digits, and possibly a suffix.
fn is_vector(word: &str) -> bool {
    let Some((stem, suffix)) = word.split_at_checked(3) else { return false };
    let mut stem = stem.chars();
    stem.next().is_some_and(|letter| letter.is_ascii_uppercase() && letter != 'R')
        && stem.all(|digit| digit.is_ascii_digit())
        && (suffix.is_empty() || suffix.starts_with(['-', '*']))
}

/// Returns the sentences of a text. A sentence ends at the latest with its paragraph, list item or table row.
fn sentences(text: &str) -> Vec<String> {
    let mut blocks = vec![String::new()];
    let mut is_code = false;
    for line in text.lines() {
        let line = line.trim();
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        if is_code || is_fence {
            continue;
        }
        let starts = line.is_empty() || line.starts_with(['|', '#']) || line.starts_with("- ");
        let numbered = line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        if starts || numbered {
            blocks.push(String::new());
        }
        let block = blocks.last_mut().unwrap();
        *block += line;
        block.push(' ');
    }
    let split = |block: &String| block.split(". ").map(str::to_owned).collect::<Vec<_>>();
    blocks.iter().flat_map(split).collect()
}

#[test]
fn generated_parts_are_those_of_the_rules_the_vectors_and_the_board() {
    let tables = tables::Tables::load(&TOPICS);
    let text = file();
    let expected = with_parts(&text, |name, _| tables.part(name));
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(path(), expected).unwrap();
        return;
    }
    with_parts(&text, |name, content| {
        assert!(content == tables.part(name), "the part {name} of docs/gelf.md is stale; UPDATE=1 writes it");
        String::new()
    });
}

#[test]
fn each_rule_is_cited_and_each_cited_rule_and_vector_exists() {
    let prose = prose();
    let cited = cited_rules(&prose);
    let unknown: Vec<_> = cited.iter().filter(|name| rules_of(name).is_empty()).collect();
    assert!(unknown.is_empty(), "unknown rules: {unknown:?}");
    let uncited: Vec<_> = rules().into_iter().filter(|rule| !cited.contains(&rule.name)).collect();
    assert!(uncited.is_empty(), "rules that the text does not cite: {uncited:?}");

    let vectors: Vec<&Vector> = TOPICS.iter().flat_map(|topic| &topic.vectors).collect();
    let exists = |pattern: &str| vectors.iter().any(|vector| matches(pattern, &vector.id));
    let cited = cited_vectors(&prose);
    let unknown: Vec<_> = cited.iter().filter(|pattern| !exists(pattern)).collect();
    assert!(unknown.is_empty(), "unknown vectors: {unknown:?}");

    // The text explains each choice, so it cites at least one vector of each choice.
    let cited_ids = |pattern: &str| {
        let of_choice = vectors.iter().filter(|vector| matches(pattern, &vector.id));
        of_choice.filter(|vector| cited.iter().any(|cited| matches(cited, &vector.id))).count()
    };
    let silent: Vec<_> =
        decisions().into_iter().filter(|decision| decision.patterns().all(|p| cited_ids(p) == 0)).collect();
    assert!(silent.is_empty(), "choices that the text does not cite: {silent:#?}");
}

#[test]
fn each_requirement_names_its_rule() {
    let prose = prose();
    let (_, requirements) = prose.split_once(FIRST_SECTION).unwrap();
    let has_key_word = |sentence: &&String| {
        sentence.split(|c: char| !c.is_ascii_uppercase()).any(|word| KEY_WORDS.contains(&word))
    };
    let sentences = sentences(requirements);
    let nameless: Vec<_> =
        sentences.iter().filter(has_key_word).filter(|text| cited_rules(text).is_empty()).collect();
    assert!(nameless.is_empty(), "requirements without a rule: {nameless:#?}");
    assert!(sentences.iter().filter(has_key_word).count() > 50);
}

#[test]
fn no_requirement_rests_on_choices_alone() {
    let prose = prose();
    let is_choice = |cited: &&str| {
        let cites = |vector: &&Vector| matches(cited, &vector.id);
        TOPICS.iter().flat_map(|topic| &topic.vectors).filter(cites).all(|vector| vector.choice)
    };
    let rests_on_choices = |sentence: &String| {
        let cited = cited_vectors(sentence);
        sentence.contains("MUST") && !cited.is_empty() && cited.iter().all(&is_choice)
    };
    let optional: Vec<_> = sentences(&prose).into_iter().filter(rests_on_choices).collect();
    assert!(optional.is_empty(), "requirements whose vectors are all choices: {optional:#?}");
}

#[test]
fn each_rule_has_vectors_or_a_reason_for_having_none() {
    let tested: Vec<Rule> =
        TOPICS.iter().flat_map(|topic| &topic.vectors).flat_map(|vector| rules_of(&vector.rule)).collect();
    let untested: Vec<_> =
        rules().into_iter().filter(|rule| !tested.contains(rule)).map(|rule| rule.name).collect();
    let prose = prose();
    let (_, section) = prose.split_once("Rules without vectors").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| [[")?.split_once(']'));
    let with_reason: Vec<_> = rows.map(|(name, _)| name).filter(|name| is_rule(name)).collect();
    assert_eq!(untested, with_reason);
}
