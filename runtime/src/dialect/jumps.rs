//! `goto` to a label at the end of a loop's body, made `continue`: what Lua code uses it for. Out of inner loops it
//! becomes a flag, `break` and `continue`. Any other `goto` is a mistake, told with what to write instead.

use super::Mistake;
use super::blocks::{Blocks, Shape, wants_expression};
use super::edit::Edits;
use super::lexer::Token;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Writes the edits that the jumps of a source need. Lines stay where they are.
pub(crate) fn rewrite(source: &[u8], tokens: &[Token<'_>], edits: &mut Edits) -> Result<(), Mistake> {
    let gotos: Vec<usize> = (0..tokens.len()).filter(|i| is_goto(tokens, *i)).collect();
    let names: HashSet<&[u8]> = gotos.iter().map(|goto| tokens[goto + 1].text).collect();
    let is_meant = |i: &usize| names.contains(tokens[i + 1].text) || is_no_type(tokens, *i);
    let labels: Vec<usize> = (0..tokens.len()).filter(|i| is_label(tokens, *i) && is_meant(i)).collect();
    if gotos.is_empty() && labels.is_empty() {
        return Ok(());
    }
    let blocks = Blocks::of(tokens);
    let labels = labels.into_iter().map(|i| ((blocks.of[i], tokens[i + 1].text), i)).collect();
    let mut jumps = Jumps { source, tokens, blocks, labels, edits, flags: BTreeMap::new() };
    for goto in gotos {
        jumps.jump(goto)?;
    }
    for label in jumps.labels.values() {
        jumps.edits.blank(source, tokens[*label].at, tokens[label + 2].end());
    }
    Ok(())
}

/// `goto` is a name like any other to Luau: it is a jump where a statement may begin and another name follows.
fn is_goto(tokens: &[Token<'_>], index: usize) -> bool {
    tokens[index].is_word("goto")
        && tokens.get(index + 1).is_some_and(Token::is_name)
        && !index.checked_sub(1).is_some_and(|before| wants_expression(&tokens[before]))
}

/// `::name::`. It may also be Luau's `value :: type` twice: it is a label where a jump names it, or [`is_no_type`].
fn is_label(tokens: &[Token<'_>], index: usize) -> bool {
    matches!(tokens.get(index..index + 3), Some([open, name, close])
        if open.is_symbol("::") && name.is_name() && close.is_symbol("::"))
}

/// Whether what looks like a label can be nothing else: no value stands before it, or no type behind it.
fn is_no_type(tokens: &[Token<'_>], label: usize) -> bool {
    const OPENERS: [&str; 4] = ["do", "then", "else", "repeat"];
    let follows_opener = match label.checked_sub(1).map(|before| &tokens[before]) {
        None => true,
        Some(before) => before.is_symbol(";") || OPENERS.iter().any(|word| before.is_word(word)),
    };
    let ends_block = match tokens.get(label + 3) {
        None => true,
        Some(next) => {
            let is_type = ["nil", "true", "false", "function"].iter().any(|word| next.is_word(word));
            next.is_symbol(";") || (next.is_keyword() && !is_type)
        }
    };
    follows_opener || ends_block
}

struct Jumps<'a, 's> {
    source: &'s [u8],
    tokens: &'a [Token<'s>],
    blocks: Blocks,
    /// The first token of each label, by its block and name.
    labels: HashMap<(usize, &'s [u8]), usize>,
    edits: &'a mut Edits,
    /// By the outermost loop that is left and the label: what says that it was left.
    flags: BTreeMap<(usize, usize), String>,
}

impl Jumps<'_, '_> {
    fn jump(&mut self, goto: usize) -> Result<(), Mistake> {
        let name = self.tokens[goto + 1];
        let around: Vec<usize> = self.blocks.outwards(self.blocks.of[goto]).collect();
        let target = around.iter().find_map(|b| Some((*b, *self.labels.get(&(*b, name.text))?)));
        let Some((body, label)) = target else {
            return Err(self.refuse(goto, "there is no such label around it"));
        };
        if !self.ends_loop(body, label) {
            let instead = match label < goto {
                true => "write `while true do … end` around what is repeated, and `break` at its end",
                false => "put what lies before the label into a function and `return`, or into an `if`",
            };
            return Err(self.refuse(goto, instead));
        }
        let shape = |block: &usize| self.blocks.all[*block].shape;
        let left: Vec<usize> = around.into_iter().take_while(|b| *b != body).collect();
        if left.iter().any(|b| shape(b) == Shape::Repeat) {
            return Err(self.refuse(goto, "it leaves a `repeat … until`: write that as a `while` loop"));
        }
        let left: Vec<usize> = left.into_iter().filter(|b| shape(b) == Shape::Loop).collect();
        let statement = match left.last() {
            None => "continue".to_owned(),
            Some(outermost) => format!("{} = true break", self.leave(&left, *outermost, label)),
        };
        // these end a block wherever they stand, and so must come last in one
        let is_last = left.is_empty() && self.ends_block(goto + 2);
        let statement = if is_last { statement } else { format!("do {statement} end") };
        self.edits.replace(self.source, self.tokens[goto].at, name.end(), &statement);
        Ok(())
    }

    /// Sees to it that all of `left`, innermost first, are left when the flag that is returned is set.
    fn leave(&mut self, left: &[usize], outermost: usize, label: usize) -> String {
        let number = self.flags.len() + 1;
        let is_known = self.flags.contains_key(&(outermost, label));
        let flag = self.flags.entry((outermost, label)).or_insert_with(|| format!("__goto_{number}")).clone();
        if !is_known {
            let first = &self.tokens[self.blocks.all[outermost].first];
            self.edits.insert(first.at, &format!("local {flag} = false "));
        }
        for block in left {
            let Some(end) = self.tokens.get(self.blocks.all[*block].last) else { continue };
            let go_on = if *block == outermost { "continue" } else { "break" };
            self.edits.insert(end.end(), &format!(" if {flag} then {go_on} end"));
        }
        flag
    }

    /// Whether only other labels stand between the label and the end of its block, a loop's body.
    fn ends_loop(&self, body: usize, label: usize) -> bool {
        let (block, mut next) = (&self.blocks.all[body], label);
        while next < block.last {
            next += match self.tokens.get(next) {
                Some(token) if token.is_symbol(";") => 1,
                Some(_) if is_label(self.tokens, next) => 3,
                _ => return false,
            };
        }
        matches!(block.shape, Shape::Loop | Shape::Repeat)
    }

    fn ends_block(&self, index: usize) -> bool {
        let next = self.tokens.get(index);
        next.is_some_and(|t| ["end", "else", "elseif", "until"].iter().any(|word| t.is_word(word)))
    }

    fn refuse(&self, goto: usize, instead: &str) -> Mistake {
        let (line, name) = (self.tokens[goto].line, self.tokens[goto + 1].show());
        Mistake {
            line,
            message: format!("goto {name}: only a goto to the end of a loop's body works here; {instead}"),
        }
    }
}
