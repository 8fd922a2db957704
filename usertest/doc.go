// Package usertest lets tests that are about permissions run everywhere: as root
// nothing is forbidden, so a test started as root is started again as somebody
// who is not.
package usertest
