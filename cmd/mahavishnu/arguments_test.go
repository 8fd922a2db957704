package main

import (
	"bytes"
	"errors"
	"testing"
)

func TestOnlyTextIsShownOnAScreen(t *testing.T) {
	var screen bytes.Buffer
	w := textOnly{&screen}
	if _, err := w.Write([]byte("plain\n")); err != nil {
		t.Error(err)
	}
	if _, err := w.Write([]byte("a tar\x00")); !errors.Is(err, errNotText) {
		t.Errorf("Write of zeros = %v", err)
	}
	if got := screen.String(); got != "plain\n" {
		t.Errorf("the screen shows %q", got)
	}
}
