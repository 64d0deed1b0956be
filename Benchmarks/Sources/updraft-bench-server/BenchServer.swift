import Updraft
import UpdraftRPC
import UpdraftTLS

/// One server on one loop and one thread, for the load generator.
@main
struct BenchServer {
    static let usage = """
        usage: updraft-bench-server echo|line|rpc|echo-callback PORT
               updraft-bench-server echo-tls PORT CERTIFICATE KEY

        """

    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 3, let port = Int(arguments[2]) else {
            print(usage, terminator: "")
            return
        }
        let kind = arguments[1]
        try IOLoop.run { loop in
            switch kind {
            case "echo":
                try await TCPServer(port: port).serve { stream in
                    for try await chunk in stream.chunks { try await stream.write(chunk) }
                }
            case "echo-tls" where arguments.count == 5:
                let tls = try TLSServerContext(
                    certificate: .file(arguments[3]), privateKey: .file(arguments[4]))
                try await TCPServer(port: port).serve(tls: tls) { stream in
                    for try await chunk in stream.chunks { try await stream.write(chunk) }
                }
            case "line":
                try await TCPServer(port: port).serve { stream in
                    for try await line in stream.lines(keepingEnds: true) {
                        try await stream.write(line)
                    }
                }
            case "rpc":
                let rpc = RPCServer(port: port)
                rpc.register("sum") { (x: Int, y: Int) in x + y }
                try await rpc.serve()
            case "echo-callback":
                try await CallbackEcho(loop, port: port).serve()
            default:
                print(usage, terminator: "")
            }
        }
    }
}
