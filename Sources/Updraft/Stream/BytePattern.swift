// Unsafe: `@unchecked Sendable` for a compiled pattern, which PCRE2 never changes after it is made:
// any number of threads may match with it, each with match data of its own.

#if Regex
    internal import CPCRE2
    internal import CUpdraft

    /// A regular expression over bytes, in PCRE2's syntax, for `IOStream.read(untilMatching:)`.
    ///
    /// ```swift
    /// let blankLine = try BytePattern(#"\r?\n\r?\n"#)
    /// let head = try await stream.read(untilMatching: blankLine, maxBytes: 16_384)
    /// ```
    ///
    /// Compile it once and use it often, from any thread. It matches bytes, not characters, unless
    /// it begins with `(*UTF)`. A multi-line `^` matches behind every newline, also behind one that
    /// ends the stream: else what a newline means would depend on whether more has come already.
    /// Needs the trait `Regex`.
    public final class BytePattern: @unchecked Sendable {
        /// The expression.
        public let text: String

        let code: OpaquePointer
        /// What is known of every match.
        let needs: MatchNeeds

        /// Compiles a pattern.
        ///
        /// - Throws: `PatternError` with what is wrong and where.
        public init(_ text: String) throws {
            var number: Int32 = 0
            var place = 0
            let bytes = Array(text.utf8)
            let options = UInt32(PCRE2_NEVER_BACKSLASH_C) | UInt32(PCRE2_ALT_CIRCUMFLEX)
            guard let code = pcre2_compile_8(bytes, bytes.count, options, &number, &place, nil)
            else {
                let reason = BytePattern.message(number)
                throw PatternError(
                    "The pattern '\(text)' is wrong at byte \(place): \(reason).", offset: place)
            }
            // Where the machine has no such compiler it is interpreted, with the same results.
            _ = pcre2_jit_compile_8(
                code, UInt32(PCRE2_JIT_COMPLETE) | UInt32(PCRE2_JIT_PARTIAL_HARD))
            self.text = text
            self.code = code
            needs = MatchNeeds(code, text)
        }

        deinit {
            pcre2_code_free_8(code)
        }

        /// What one search has found.
        enum Search {
            /// The match ends here, counted from the start of the bytes.
            case match(end: Int)
            /// No match yet; none can begin before this offset.
            case none(from: Int)
            /// No match, whatever will come.
            case never
            /// PCRE2 gave up.
            case failed(String)
        }

        /// Looks for the first match.
        ///
        /// - Parameters:
        ///   - start: Where it may begin at the earliest. Bytes before it are looked at by
        ///     assertions only.
        ///   - isEnd: Whether no more bytes will come.
        func search(
            _ bytes: UnsafeRawBufferPointer, from start: Int, isEnd: Bool, _ data: MatchData,
            _ matcher: PatternMatcher
        ) -> Search {
            let options = isEnd ? 0 : UInt32(PCRE2_PARTIAL_HARD)
            let result = pcre2_match_8(
                code, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, start,
                options, data.pointer, matcher.context)
            if result >= 0 { return .match(end: data.end) }
            switch result {
            case PCRE2_ERROR_NOMATCH where needs.isAnchored: return .never
            case PCRE2_ERROR_NOMATCH, PCRE2_ERROR_PARTIAL:
                let isPartial = result == PCRE2_ERROR_PARTIAL
                let next = isPartial ? min(data.start, bytes.count) : bytes.count
                return .none(from: needs.mindsStart ? 0 : next)
            case PCRE2_ERROR_UTF8_ERR5...PCRE2_ERROR_UTF8_ERR1 where !isEnd:
                // The last character has not come whole.
                let whole = UnsafeRawBufferPointer(rebasing: bytes[..<data.failure])
                // Of nothing PCRE2 would say for certain that it is no match.
                if whole.isEmpty { return .none(from: 0) }
                return search(whole, from: min(start, whole.count), isEnd: false, data, matcher)
            default: return .failed(BytePattern.message(result))
            }
        }

        static func message(_ number: Int32) -> String {
            var buffer = [UInt8](repeating: 0, count: 256)
            let length = pcre2_get_error_message_8(number, &buffer, buffer.count)
            return String(decoding: buffer.prefix(Int(max(length, 0))), as: UTF8.self)
        }

        /// Where one reader's matches are noted.
        final class MatchData {
            fileprivate let pointer: OpaquePointer

            init?(_ pattern: BytePattern) {
                guard let pointer = pcre2_match_data_create_from_pattern_8(pattern.code, nil) else {
                    return nil
                }
                self.pointer = pointer
            }

            deinit {
                pcre2_match_data_free_8(pointer)
            }

            /// Where a character is that is none.
            fileprivate var failure: Int { pcre2_get_startchar_8(pointer) }
            fileprivate var start: Int { pcre2_get_ovector_pointer_8(pointer)[0] }
            fileprivate var end: Int { pcre2_get_ovector_pointer_8(pointer)[1] }
        }
    }

    /// What a match may take, and the stack of compiled patterns: once for each loop, since a match
    /// is over before the next one begins, and a stack for each read that waits would be a peer's
    /// to fill.
    final class PatternMatcher {
        /// The time for looks that reads have to wait for.
        var share = LookShare()

        fileprivate let context: OpaquePointer
        private let stack: OpaquePointer?

        /// Steps of one match at the most: what takes more is a pattern that a peer could make the
        /// loop stand still with.
        private static let stepsMax: UInt32 = 1_000_000
        /// What a match may remember of the ways that it might have gone instead. For one of
        /// 64 KiB by a repeated group, `(a|b)*c`, it is 2 MiB.
        private static let stackMax = 4 << 20

        init?() {
            guard let context = pcre2_match_context_create_8(nil) else { return nil }
            self.context = context
            stack = pcre2_jit_stack_create_8(32_768, PatternMatcher.stackMax, nil)
            pcre2_jit_stack_assign_8(context, nil, stack.map(UnsafeMutableRawPointer.init))
            _ = pcre2_set_match_limit_8(context, PatternMatcher.stepsMax)
            // In KiB, for where patterns are interpreted: there it is the read's, while it waits.
            _ = pcre2_set_heap_limit_8(context, UInt32(PatternMatcher.stackMax / 1_024))
        }

        deinit {
            pcre2_match_context_free_8(context)
            pcre2_jit_stack_free_8(stack)
        }

        /// The loop's, made when it is first asked for.
        static func of(_ loop: IOLoop) -> PatternMatcher? {
            let key = ObjectIdentifier(PatternMatcher.self)
            if let matcher = loop.attachments[key] as? PatternMatcher { return matcher }
            let made = PatternMatcher()
            loop.attachments[key] = made
            return made
        }
    }

    /// What PCRE2 has found out about every match of a pattern while it compiled it. Its own
    /// searches rely on the same, except for partial ones, which need to know where a match that
    /// is not there yet might begin.
    struct MatchNeeds {
        /// Whether a match begins where the search does, or not at all.
        let isAnchored: Bool
        /// Whether it depends on where the search began.
        let mindsStart: Bool
        /// Bytes of the shortest match.
        let bytesMin: Int
        /// A byte that stands in it, or behind it where an assertion looks.
        let byte: RequiredByte?

        init(_ code: OpaquePointer, _ text: String) {
            let number = { (question: Int32) -> UInt32 in
                var answer: UInt32 = 0
                let result = pcre2_pattern_info_8(code, UInt32(question), &answer)
                return result == 0 ? answer : 0
            }
            isAnchored = number(PCRE2_INFO_ALLOPTIONS) & PCRE2_ANCHORED != 0
            mindsStart = text.contains("\\G") || text.contains("(*COMMIT")
            bytesMin = Int(number(PCRE2_INFO_MINLENGTH))
            let byte = UInt8(truncatingIfNeeded: number(PCRE2_INFO_LASTCODEUNIT))
            // Bytes beyond ASCII have other cases that depend on the pattern's options.
            guard number(PCRE2_INFO_LASTCODETYPE) == 1, byte < 0x80 else {
                self.byte = nil
                return
            }
            // Where no option is set in the pattern, case is minded.
            self.byte = RequiredByte(
                byte, inEitherCase: text.contains("(?"),
                offset: number(PCRE2_INFO_FIRSTCODETYPE) == 1 ? 1 : 0)
        }
    }

    /// A byte without which there is no match.
    struct RequiredByte {
        /// How far behind the match's first byte it stands at least.
        let offset: Int
        private let byte: UInt8
        private let otherCase: UInt8?

        init(_ byte: UInt8, inEitherCase: Bool, offset: Int) {
            self.byte = byte
            self.offset = offset
            let isLetter = 0x61...0x7A ~= byte | 0x20
            otherCase = inEitherCase && isLetter ? byte ^ 0x20 : nil
        }

        /// The first place where it stands.
        func firstIndex(in bytes: UnsafeRawBufferPointer) -> Int? {
            if let otherCase { return bytes.firstIndex { $0 == byte || $0 == otherCase } }
            guard let base = bytes.baseAddress else { return nil }
            let index = withUnsafePointer(to: byte) { cu_find(base, bytes.count, $0, 1) }
            return index >= 0 ? index : nil
        }
    }

    /// A regular expression that can't be compiled.
    public struct PatternError: Error, Sendable, CustomStringConvertible {
        /// What is wrong, in a sentence, with the pattern.
        public let message: String

        /// Where, in bytes from the pattern's start.
        public let offset: Int

        init(_ message: String, offset: Int) {
            self.message = message
            self.offset = offset
        }

        /// The sentence.
        public var description: String { message }
    }
#endif
