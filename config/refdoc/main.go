// Command refdoc writes docs/configuration.md, the reference of every setting,
// from the configuration's own types: names and tags from the struct fields,
// meaning from their comments, defaults from config.Default. A test fails when
// the page is out of date.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	source := flag.String("source", ".", "directory of package config")
	out := flag.String("out", "", "file to write")
	flag.Parse()
	page, err := render(*source)
	if err == nil {
		err = os.WriteFile(*out, page, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "refdoc:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}
