package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Limits that no honest file reaches; they keep a broken or hostile one from
// taking the process with it.
const (
	maxFile    = 256 << 10 // bytes
	maxNesting = 100       // levels
	maxNodes   = 100_000   // values after aliases are followed
)

// parseSyntax turns text into the document's top-level node, nil for {}-less
// emptiness. Every error names a place in the text.
func (r *reporter) parseSyntax(text []byte) ast.Node {
	if len(text) > maxFile {
		r.at(place{}, "", fmt.Sprintf("the file is %d KiB, more than the %d KiB a configuration may have: is this the right file?",
			len(text)>>10, maxFile>>10))
		return nil
	}
	if !r.checkCharacters(text) {
		return nil
	}
	file, err := parseTokens(string(text))
	if err != nil {
		r.syntaxError(err)
		return nil
	}
	var body ast.Node
	for _, doc := range file.Docs {
		switch doc.Body.(type) {
		case nil, *ast.DirectiveNode:
			continue
		}
		if body != nil {
			at := doc.Body.GetToken()
			if doc.Start != nil {
				at = doc.Start
			}
			r.atToken(at, "", "the file holds a second document: keep one, and remove the line with ---")
			return nil
		}
		body = doc.Body
	}
	switch {
	case body == nil && r.foreign:
		r.at(place{}, "", "the file holds nothing but comments")
	case body == nil:
		r.at(place{}, "", "the file holds no settings: to run on the defaults alone, give no file, or write {}")
	}
	return body
}

// parseTokens parses text and keeps a fault of the parser from ending the
// process: a reload must never do that.
func parseTokens(text string) (file *ast.File, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = errors.New("this is not YAML that can be read")
		}
	}()
	tokens := lexer.Tokenize(text)
	if tk := tooDeep(tokens); tk != nil {
		return nil, &yaml.SyntaxError{Message: fmt.Sprintf("nested deeper than %d levels", maxNesting), Token: tk}
	}
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// tooDeep returns the token at which nesting passes the limit. The parser
// recurses, so this is found before it runs.
func tooDeep(tokens token.Tokens) *token.Token {
	flow, line, entries := 0, 0, 0
	for _, tk := range tokens {
		if tk.Position.Line != line {
			line, entries = tk.Position.Line, 0
		}
		switch tk.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			entries++
		}
		if flow > maxNesting || entries > maxNesting || tk.Position.Column > 2000 && entries > 0 {
			return tk
		}
	}
	return nil
}

// checkCharacters refuses what is not UTF-8 text, and tabs used as indentation,
// which are easy to make and hard to see.
func (r *reporter) checkCharacters(text []byte) bool {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		r.at(place{}, "", "the file is UTF-16: save it as UTF-8")
		return false
	}
	good := true
	for i, line := range bytes.Split(text, []byte("\n")) {
		for column, rest := 1, line; len(rest) > 0; column++ {
			c, size := utf8.DecodeRune(rest)
			if c == utf8.RuneError && size == 1 {
				r.at(place{i + 1, column}, "", fmt.Sprintf("the byte 0x%02x is not UTF-8: save the file as UTF-8", rest[0]))
				return false
			}
			if c < ' ' && c != '\t' && (c != '\r' || len(rest) > 1) || c == 0x7f {
				r.at(place{i + 1, column}, "", fmt.Sprintf("the control character 0x%02x has no place in a configuration", c))
				return false
			}
			rest = rest[size:]
		}
		content := bytes.TrimLeft(line, " \t")
		indent := line[:len(line)-len(content)]
		if tab := bytes.IndexByte(indent, '\t'); tab >= 0 && len(bytes.TrimSpace(content)) > 0 && content[0] != '#' {
			r.at(place{i + 1, tab + 1}, "", "a tab in the indentation: YAML wants spaces")
			good = false
		}
	}
	return good
}

func (r *reporter) syntaxError(err error) {
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) || syntax.Token == nil {
		r.at(place{}, "", err.Error())
		return
	}
	message := syntax.Message
	switch {
	case strings.HasPrefix(message, "mapping value is not allowed"):
		message = `a second colon: put the value in quotes if the colon belongs to it, or the key on its own line`
	case strings.Contains(message, "could not find end character"):
		message = "the quote that opens here is never closed"
	case strings.Contains(message, "',' or ']' must be specified"), strings.Contains(message, "',' or '}' must be specified"):
		message = "a [ or { that opened before this is not closed, or a comma is missing"
	case strings.Contains(message, "invalid key for this map"):
		message = "a name must be plain text"
	case strings.Contains(message, "sequence end token"):
		message = "the [ that opens here is never closed"
	case strings.Contains(message, "flow mapping end token"):
		message = "the { that opens here is never closed"
	case strings.Contains(message, "reserved character"):
		message = "a value cannot start with this character: put it in quotes"
	case strings.Contains(message, "value is not allowed in this context"), strings.Contains(message, "non-map value"):
		message = "this does not fit where it stands: is the indentation the same as that of its neighbours?"
	}
	r.atToken(syntax.Token, "", message)
}
