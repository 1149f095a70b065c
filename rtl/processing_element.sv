// One multiply-accumulate a cycle; its result is there in the next cycle.
//
// Weight-stationary: x moves right, the partial sum moves down, the weight stays. The next weight waits in the shadow register and
// takes over with the first row of its pass.
// Output-stationary: x moves right, w moves down the way of the weights, the sum stays. With the last k it is copied to the drain
// register, from which it moves up while the next pass is summed. A preloaded sum moves down the way of the partial sums to its row.
module processing_element #(
  parameter ROW = 0,
  parameter WIDTH = 32,
  parameter ROW_BITS = 8
) (
  input clk,
  input output_stationary,
  // From the left: x, and {valid, first, last}: does it hold a term; the first of a pass (output-stationary: of a sum that begins at 0); the last.
  input [WIDTH-1:0] x,
  input [2:0] control,
  output reg [WIDTH-1:0] x_right,
  output reg [2:0] control_right,
  // From above: {valid, row, weight} for one row of weights, w of output-stationary, the sum, and {valid, row} of a preloaded one.
  input [ROW_BITS+WIDTH:0] weight,
  input [WIDTH-1:0] w,
  input [WIDTH-1:0] sum,
  input [ROW_BITS:0] preload,
  output reg [WIDTH-1:0] sum_down,
  output reg [ROW_BITS:0] preload_down,
  // From below.
  input [WIDTH-1:0] drain_below,
  output reg [WIDTH-1:0] drain
);
  localparam VALID = 2, FIRST = 1, LAST = 0;

  reg [WIDTH-1:0] active_weight, shadow_weight, stationary_sum;
  reg [WIDTH-1:0] result;

  always @(posedge clk) begin
    x_right <= x;
    control_right <= control;
    preload_down <= preload;
    drain <= drain_below;

    if (output_stationary) begin
      sum_down <= sum;
      if (control[VALID]) begin
        result = (control[FIRST] ? 0 : stationary_sum) + x * w;
        stationary_sum <= result;
        if (control[LAST]) drain <= result;
      end else if (preload == {1'b1, ROW[ROW_BITS-1:0]}) stationary_sum <= sum;
    end else begin
      if (control[FIRST]) active_weight <= shadow_weight;
      if (weight[WIDTH +: ROW_BITS + 1] == {1'b1, ROW[ROW_BITS-1:0]}) shadow_weight <= weight[WIDTH-1:0];
      sum_down <= sum + x * (control[FIRST] ? shadow_weight : active_weight);
    end
  end
endmodule
