// Command elsewhere checks that the product's packages and their tests compile on the operating systems
// that are named, without compiling them: types are checked from the source, and of libraries
// only what they declare is looked at. `go vet` for another system compiles every library
// for it first, which takes minutes.
//
//	elsewhere darwin windows
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: elsewhere GOOS...")
		os.Exit(2)
	}
	root, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	failed := false
	for _, system := range os.Args[1:] {
		problems, err := check(root, system)
		if err != nil {
			problems = append(problems, err.Error())
		}
		for _, p := range problems {
			fmt.Fprintf(os.Stderr, "%s: %s\n", system, p)
		}
		failed = failed || len(problems) > 0
	}
	if failed {
		os.Exit(1)
	}
}

// check returns what does not compile below root on an operating system.
func check(root, system string) ([]string, error) {
	own := root + string(filepath.Separator)
	cfg := &packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
			packages.NeedDeps | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedTypesSizes,
		Dir: root, Tests: true,
		Env: append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0"),
		ParseFile: func(files *token.FileSet, name string, src []byte) (*ast.File, error) {
			f, err := parser.ParseFile(files, name, src, parser.SkipObjectResolution)
			if f != nil && !strings.HasPrefix(name, own) {
				declarations(f)
			}
			return f, err
		},
	}
	all, err := packages.Load(cfg, "./...")
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no packages in %s", root)
	}
	var problems []string
	seen := map[string]bool{}
	for _, p := range all { // what they import is checked for its own sake, where it is ours
		if strings.HasSuffix(p.PkgPath, ".test") {
			continue // a test's generated main
		}
		for _, e := range p.Errors {
			if text := e.Error(); !seen[text] {
				seen[text], problems = true, append(problems, text)
			}
		}
	}
	return problems, nil
}

// declarations leaves of a library's file what others see.
func declarations(f *ast.File) {
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			fn.Body = nil
		}
	}
}
