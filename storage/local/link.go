package local

import "os"

// linkNew is the portable form of a rename that replaces nothing: a hard link
// fails when the name is taken. A crash between the two steps leaves a
// temporary file that is swept later.
func linkNew(temp, final string) error {
	if err := os.Link(temp, final); err != nil {
		return err
	}
	return os.Remove(temp)
}
