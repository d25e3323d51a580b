//! The blocks of a source: which keyword opens one, which closes it, which block a token stands in.

use super::lexer::{Kind, Token};

/// What a block is to a jump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// A jump cannot leave it.
    Function,
    /// `while` or `for`; its header belongs to it.
    Loop,
    Repeat,
    /// `do`, `if`, or the file itself.
    Plain,
}

/// A block, by the indices of its tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    pub(crate) shape: Shape,
    /// None: the file itself.
    pub(crate) parent: Option<usize>,
    /// The keyword that begins it.
    pub(crate) first: usize,
    /// The `end` or `until` that closes it.
    pub(crate) last: usize,
}

/// All blocks, and for each token the block that it stands in.
#[derive(Debug)]
pub(crate) struct Blocks {
    pub(crate) all: Vec<Block>,
    pub(crate) of: Vec<usize>,
}

impl Blocks {
    pub(crate) fn of(tokens: &[Token<'_>]) -> Self {
        let file = Block { shape: Shape::Plain, parent: None, first: 0, last: tokens.len() };
        let mut reader =
            Reader { blocks: Self { all: vec![file], of: Vec::new() }, open: vec![Open::new(0)] };
        for (index, token) in tokens.iter().enumerate() {
            let block = reader.top().block;
            reader.blocks.of.push(block);
            if token.kind == Kind::Word {
                reader.keyword(tokens, index);
            }
        }
        reader.blocks
    }

    /// The block, and those around it that a jump may leave for: up to its function.
    pub(crate) fn outwards(&self, block: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(block), |&inner| {
            let inner = &self.all[inner];
            inner.parent.filter(|_| inner.shape != Shape::Function)
        })
    }
}

/// Whether an expression is wanted behind this token: a statement cannot begin there.
pub(crate) fn wants_expression(token: &Token<'_>) -> bool {
    const WORDS: [&str; 12] =
        ["and", "or", "not", "return", "in", "if", "elseif", "while", "until", "local", "function", "for"];
    match token.kind {
        Kind::Word => WORDS.iter().any(|w| token.is_word(w)),
        Kind::Symbol => !matches!(token.text, b")" | b"]" | b"}" | b";" | b"..." | b"::"),
        // the begin of an interpolated string's expression
        Kind::Text => token.text.ends_with(b"{") && matches!(token.text[0], b'`' | b'}'),
        Kind::Number => false,
    }
}

struct Reader {
    blocks: Blocks,
    open: Vec<Open>,
}

/// A block that has not been closed.
struct Open {
    block: usize,
    /// Whether its `do` is still to come.
    in_header: bool,
    /// Luau's `if` in expressions has no `end`: how many `then` and `else` belong to such.
    thens: usize,
    elses: usize,
    /// Whether an `if` that comes next is such.
    in_branch: Option<usize>,
}

impl Open {
    fn new(block: usize) -> Self {
        Self { block, in_header: false, thens: 0, elses: 0, in_branch: None }
    }
}

impl Reader {
    fn top(&mut self) -> &mut Open {
        self.open.last_mut().expect("the file itself is never closed")
    }

    fn keyword(&mut self, tokens: &[Token<'_>], index: usize) {
        match tokens[index].text {
            b"function" => self.push(Shape::Function, index),
            b"repeat" => self.push(Shape::Repeat, index),
            b"while" | b"for" => {
                self.push(Shape::Loop, index);
                self.top().in_header = true;
            }
            b"do" if self.top().in_header => self.top().in_header = false,
            b"do" => self.push(Shape::Plain, index),
            b"if" => self.begin_if(tokens, index),
            b"then" => self.branch(index, b"then"),
            b"elseif" if self.top().elses > 0 => {
                let top = self.top();
                (top.elses, top.thens) = (top.elses - 1, top.thens + 1);
            }
            b"else" => self.branch(index, b"else"),
            b"end" | b"until" => self.close(index),
            _ => {}
        }
    }

    fn begin_if(&mut self, tokens: &[Token<'_>], index: usize) {
        let is_branch = self.top().in_branch == index.checked_sub(1) && index > 0;
        let is_value =
            is_branch || index.checked_sub(1).is_some_and(|before| wants_expression(&tokens[before]));
        if is_value {
            self.top().thens += 1;
        } else {
            self.push(Shape::Plain, index);
        }
    }

    /// The `then` and `else` of an `if` that is an expression.
    fn branch(&mut self, index: usize, word: &[u8]) {
        let top = self.top();
        if word == b"then" && top.thens > 0 {
            (top.thens, top.elses, top.in_branch) = (top.thens - 1, top.elses + 1, Some(index));
        } else if word == b"else" && top.elses > 0 {
            (top.elses, top.in_branch) = (top.elses - 1, Some(index));
        }
    }

    fn push(&mut self, shape: Shape, first: usize) {
        let parent = Some(self.top().block);
        self.open.push(Open::new(self.blocks.all.len()));
        self.blocks.all.push(Block { shape, parent, first, last: usize::MAX });
    }

    fn close(&mut self, index: usize) {
        // one `end` too many is for the compiler to say
        if self.open.len() > 1 {
            let closed = self.open.pop().expect("looked at above");
            self.blocks.all[closed.block].last = index;
        }
    }
}
