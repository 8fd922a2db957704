package main

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"mahavishnu/config"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/repository"
	"mahavishnu/repository/keyring"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("any"), 1},
		{repository.ErrNotRepository, 1},
		{usagef("mahavishnu", "wrong"), 2},
		{config.Errors{{Message: "bad"}}, 2},
		{&messages.RefusedError{Reason: "no"}, 2},
		{keyring.ErrNoRing, 2},
		{keyring.ErrMode, 2},
		{keyring.ErrNoVersion, 2},
		{errors.Join(keyring.ErrNoVersion, repository.ErrDamaged), 4},
		{repository.ErrWrongKey, 2},
		{errUnreadable, 3},
		{errIntegrity, 4},
		{repository.ErrDamaged, 4},
		{&repository.BlobError{Err: repository.ErrBlobMissing}, 4},
		{repository.ErrUnreadable, 4},
		{repository.ErrUnreachable, 1},
		{errors.Join(errUnreadable, errIntegrity), 4},
		{messages.ErrFenced, 5},
		{bus.ErrLeaseLost, 5},
		{repository.ErrFenced, 5},
		{errMissed, 6},
		{errCutOff, 7},
		{context.Canceled, 130},
		{&interruptedError{os.Interrupt}, 130},
		{errors.Join(&interruptedError{os.Interrupt}, repository.ErrDamaged), 130},
	} {
		err := c.err
		if err != nil {
			err = fmt.Errorf("while doing something: %w", err)
		}
		if got := exitCode(err); got != c.want {
			t.Errorf("exitCode(%v) = %d, want %d", err, got, c.want)
		}
		if exitMeaning(c.want) == "" {
			t.Errorf("exit code %d has no meaning", c.want)
		}
	}
}

// Scripts are written from the README: its table holds every exit code that there is in
// the code, with the words of the help, and no other; and some command notes each of them.
func TestTheReadmeTellsEveryExitCode(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "exit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	noted := map[int]bool{}
	every(t, func(_ *testing.T, cmd *cobra.Command) {
		for _, code := range exitCodes(cmd) {
			noted[code] = true
		}
	})
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "exit") {
			return true
		}
		value, ok := spec.Values[0].(*ast.BasicLit)
		if !ok || value.Kind != token.INT {
			return true
		}
		code, err := strconv.Atoi(value.Value)
		if err != nil {
			t.Fatal(err)
		}
		if !noted[code] {
			t.Errorf("no command says that it may end with %d", code)
		}
		rows = append(rows, fmt.Sprintf("| %d | %s |", code, exitMeaning(code)))
		return true
	})
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## Exit codes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var told []string
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "| ") && line != "| code | meaning |" {
			told = append(told, line)
		}
	}
	if len(rows) == 0 || !slices.Equal(rows, told) {
		t.Errorf("the code has\n%s\nand the README tells\n%s", strings.Join(rows, "\n"), strings.Join(told, "\n"))
	}
}
