import ArgumentParser
import MessagePack
import Updraft
import UpdraftCommandCore
import UpdraftRPC

/// `updraft call`.
struct CallCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "call",
        abstract: "Calls a method and prints its result as JSON.",
        discussion: """
            Options come before HOST:PORT; what follows METHOD are arguments, also negative numbers.

            Examples:
              updraft call 127.0.0.1:5700 sum -5 3
              updraft call --pretty 127.0.0.1:5700 top 10
              updraft call --timeout 2 '[::1]:5700' rank '"ann"'

            \(Literals.help)
            """)

    @OptionGroup var target: Target

    @Flag(help: "Print the result on indented lines.")
    var pretty = false

    @Argument(help: Target.endpointHelp, transform: Target.endpoint)
    var endpoint: Endpoint

    @Argument(help: "The method's name.")
    var method: String

    @Argument(parsing: .captureForPassthrough, help: "The arguments, each a JSON value.")
    var arguments: [String] = []

    func validate() throws {
        _ = try Literals.values(of: arguments)
    }

    func run() throws {
        let (method, pretty) = (method, pretty)
        let values = try Literals.values(of: arguments)
        try Session(endpoint, target).run { peer in
            let result = try await peer.call(method, arguments: values)
            StandardOutput.announce(JSONWriter.text(of: result, pretty: pretty))
        }
    }
}

/// `updraft notify`.
struct NotifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "notify",
        abstract: "Sends a notification, which is not answered.",
        discussion: """
            Examples:
              updraft notify 127.0.0.1:5700 event '"started"' 1

            \(Literals.help)
            """)

    @OptionGroup var target: Target

    @Argument(help: Target.endpointHelp, transform: Target.endpoint)
    var endpoint: Endpoint

    @Argument(help: "The method's name.")
    var method: String

    @Argument(parsing: .captureForPassthrough, help: "The arguments, each a JSON value.")
    var arguments: [String] = []

    func validate() throws {
        _ = try Literals.values(of: arguments)
    }

    func run() throws {
        let method = method
        let values = try Literals.values(of: arguments)
        try Session(endpoint, target).run { peer in
            try peer.notify(method, arguments: values)
        }
    }
}

/// `updraft methods`.
struct MethodsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "methods",
        abstract: "Lists a server's methods, one a line.",
        discussion: """
            Asks for rpc.describe and, where there is none, for rpc.methods. Servers that are not \
            made with Updraft may have neither.

            Examples:
              updraft methods 127.0.0.1:5700
            """)

    @OptionGroup var target: Target

    @Argument(help: Target.endpointHelp, transform: Target.endpoint)
    var endpoint: Endpoint

    func run() throws {
        try Session(endpoint, target).run { peer in
            let methods: MessagePackValue
            do {
                methods = try await peer.call("rpc.describe", arguments: [])
            } catch let error as RPCError where error.code == .remote {
                methods = try await peer.call("rpc.methods", arguments: [])
            }
            let lines = (methods.arrayValue ?? []).map(MethodsCommand.line)
            if !lines.isEmpty { StandardOutput.announce(lines.joined(separator: "\n")) }
        }
    }

    /// `sum(Int, Int) -> Int`, or what is known of it.
    private static func line(_ method: MessagePackValue) -> String {
        guard let name = method["name"]?.stringValue else {
            return method.stringValue ?? JSONWriter.text(of: method)
        }
        guard let types = method["parameters"]?.arrayValue else { return name }
        let parameters = types.map { $0.stringValue ?? "?" }.joined(separator: ", ")
        let result = method["result"]?.stringValue.map { " -> \($0)" } ?? ""
        return "\(name)(\(parameters))\(result)"
    }
}
