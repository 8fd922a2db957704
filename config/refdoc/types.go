package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// section is a struct of settings as its source declares it.
type section struct {
	doc    string
	fields []setting
}

// setting is one field: a key, or the inlined or free part of a section.
type setting struct {
	key     string // empty for an inlined or free part
	option  string // "inline" or "rest"
	typ     string // as Go writes it
	doc     string
	env     string
	see     string // the section that explains the keys
	restart bool
}

// readTypes collects the structs of the package in dir.
func readTypes(dir string) (map[string]section, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	sections := map[string]section{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok || general.Tok != token.TYPE {
				continue
			}
			for _, spec := range general.Specs {
				if named, ok := spec.(*ast.TypeSpec); ok {
					if body, ok := named.Type.(*ast.StructType); ok {
						sections[named.Name.Name] = section{doc: general.Doc.Text(), fields: settingsOf(body)}
					}
				}
			}
		}
	}
	spread(sections)
	return sections, nil
}

// spread puts what one section alone inlines into its place: such a struct only says
// where its settings are checked.
func spread(sections map[string]section) {
	uses := map[string]int{}
	for _, s := range sections {
		for _, f := range s.fields {
			if f.option == "inline" {
				uses[f.typ]++
			}
		}
	}
	for name, s := range sections {
		var all []setting
		for _, f := range s.fields {
			if f.option == "inline" && uses[f.typ] == 1 {
				all = append(all, sections[f.typ].fields...)
			} else {
				all = append(all, f)
			}
		}
		sections[name] = section{doc: s.doc, fields: all}
	}
}

func settingsOf(body *ast.StructType) []setting {
	var all []setting
	for _, f := range body.Fields.List {
		if f.Tag == nil {
			continue
		}
		tag := reflect.StructTag(strings.Trim(f.Tag.Value, "`"))
		key, option, _ := strings.Cut(tag.Get("yaml"), ",")
		all = append(all, setting{
			key: key, option: option, typ: typeName(f.Type), doc: f.Doc.Text(),
			env: tag.Get("env"), see: tag.Get("see"), restart: tag.Get("reload") == "restart",
		})
	}
	return all
}

func typeName(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.Ident:
		return t.Name
	case *ast.ArrayType:
		return "[]" + typeName(t.Elt)
	case *ast.MapType:
		return "map[]" + typeName(t.Value)
	}
	return fmt.Sprintf("%T", e)
}

// kinds are the names of value types as the page gives them.
var kinds = map[string]string{
	"string": "text", "bool": "true or false", "int": "whole number", "[]string": "list of text",
	"Duration": "duration", "Size": "size", "TimeOfDay": "time of day", "Weekday": "day of the week", "[]Weekday": "list of days of the week", "MonthDay": "day of the month",
	"SyncInterval": "duration, or \"always\"", "Secret": "secret",
}
