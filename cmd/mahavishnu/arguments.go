package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// oneOf refuses a flag's value that is not among the choices.
func oneOf(flag, value string, choices ...string) error {
	if slices.Contains(choices, value) {
		return nil
	}
	choices = slices.DeleteFunc(slices.Clone(choices), func(s string) bool { return s == "" })
	return &usageError{"mahavishnu", fmt.Errorf("%s cannot be %q; choose %s", flag, value, strings.Join(choices, ", "))}
}

// sortedKeys returns a map's keys in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// nonNil makes an empty list encode as [] and not as null.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// texts renders errors.
func texts(errs []error) []string {
	var all []string
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}
