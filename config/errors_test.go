package config

import (
	"errors"
	"strings"
	"testing"
)

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  Error
		want string
	}{
		{Error{Message: "bad"}, "bad"},
		{Error{File: "f", Key: "a.b", Message: "bad", Suggestion: "good"}, `f: a.b: bad; did you mean "good"?`},
		{Error{File: "f", Line: 3, Column: 4, Message: "bad", Excerpt: "\ta: b"}, "f:3:4: bad\n    3 | \ta: b\n      | \t  ^"},
		{Error{Line: 3, Column: 1, Message: "bad"}, "configuration:3:1: bad"},
		{Error{File: "f", Line: 12345, Column: 3, Message: "bad", Excerpt: "äöü"}, "f:12345:3: bad\n12345 | äöü\n      |   ^"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
	}
}

func TestLongLinesAreCut(t *testing.T) {
	line := strings.Repeat("x", 1000)
	for column := 1; column <= 1000; column++ {
		marked := line[:column-1] + "!" + line[column:]
		e := Error{File: "f", Line: 1, Column: column, Excerpt: marked, Message: "bad"}
		parts := strings.Split(e.Error(), "\n")
		if len(parts[1]) > 170 {
			t.Fatalf("column %d: a line of %d bytes is shown", column, len(parts[1]))
		}
		if strings.IndexByte(parts[1], '!') != strings.IndexByte(parts[2], '^') {
			t.Fatalf("column %d: the caret is not under the culprit:\n%s", column, e.Error())
		}
	}
}

func TestErrorsAreFoundSingly(t *testing.T) {
	err := error(Errors{{Message: "one"}, {Message: "two", Key: "k"}})
	if want := "one\nk: two\n2 errors in the configuration"; err.Error() != want {
		t.Errorf("got %q, want %q", err.Error(), want)
	}
	var one *Error
	if !errors.As(err, &one) || one.Message != "one" {
		t.Errorf("errors.As found %v", one)
	}
}

func TestAtMostAHundredErrors(t *testing.T) {
	_, err := Parse("f", []byte(strings.Repeat("x: 1\n", 5000)), none)
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != maxErrors {
		t.Fatalf("%d errors", len(errs))
	}
}
