// Package rfc2136 leads clients by a record in a name server, changed with DNS
// dynamic updates (RFC 2136) that are signed with a key both sides know (TSIG,
// RFC 8945).
//
// # How an update is fenced
//
// Beside the name that clients use, a TXT record at _epoch.NAME holds the mark
// "epoch=42" "member=pg1". One update message carries, as its prerequisite, the
// TXT record exactly as it was read (or that there is none, the first time), and
// replaces the mark and the records together. The name server judges and applies
// the message as one step, so of two coordinators that read the same mark one is
// refused by the server itself, reads again, and finds either that its epoch is
// the higher one or that it is stale.
//
//	;; prerequisites                          ;; update
//	_epoch.db.example.com. TXT "epoch=41" ... delete db.example.com. A, AAAA
//	                                          add    db.example.com. 5 A 192.0.2.2
//	                                          delete _epoch.db.example.com. TXT
//	                                          add    _epoch.db.example.com. 5 TXT "epoch=42" ...
//
// A server that gets such a message and answers nothing leaves its outcome open:
// the answer is sought by reading back. Sending it again does no harm, because
// its prerequisite no longer holds once it was done. What an update did is read
// back in any case: a server may leave out a record in silence, as it must for an
// alias where other records are.
//
// # Several primaries
//
// A zone with one primary cannot be changed while that is down. Give each region
// a primary of its own for a small zone that holds nothing but these names: all
// are updated at once, each fenced by its own mark, and a majority is enough.
// [route.Keep] brings the rest up to date when they are back.
//
// # What the server must allow
//
//	key "mahavishnu" { algorithm hmac-sha256; secret "..."; };   // tsig-keygen mahavishnu
//	zone "ha.example.com" {
//		type primary;
//		file "ha.example.com.zone";
//		update-policy {
//			grant mahavishnu name db.ha.example.com A AAAA;
//			grant mahavishnu name _epoch.db.ha.example.com TXT;
//		};
//	};
//
// Clocks must agree to within five minutes, or the server refuses the signature;
// that is route.ErrClock. Only HMAC-SHA256 and HMAC-SHA512 are used.
package rfc2136
